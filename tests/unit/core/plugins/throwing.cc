#include <carrel/plugin.h>

#include <stdexcept>

extern "C" CARREL_PLUGIN_EXPORT int carrel_plugin(unsigned, carrel::Registry*) {
  throw std::runtime_error("no licence found");
}
