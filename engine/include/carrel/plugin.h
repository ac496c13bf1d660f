// The entry point of a shared library that adds backends or isolations.
//
// A plugin is C++ built by the same compiler against the same major version; the C symbol
// only finds it and refuses a stranger:
//
//   extern "C" CARREL_PLUGIN_EXPORT int carrel_plugin(unsigned abi,
//                                                     carrel::Registry* registry) {
//     if (abi != CARREL_PLUGIN_ABI) return CARREL_PLUGIN_ABI;  // what it was built for
//     registry->add_store("mine", …);
//     return 0;
//   }
#pragma once

#include <carrel/registry.h>

// Raised whenever an interface header changes in a way that old plugins cannot bear.
#define CARREL_PLUGIN_ABI 4u
#define CARREL_PLUGIN_EXPORT __attribute__((visibility("default")))

using carrel_plugin_fn = int (*)(unsigned abi, carrel::Registry* registry);
