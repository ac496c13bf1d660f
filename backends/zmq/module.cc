// What makes libcarrel_zmq.so a plugin of carrel.
#include <carrel/plugin.h>
#include <carrel/zmq.h>

extern "C" CARREL_PLUGIN_EXPORT int carrel_plugin(unsigned abi,
                                                  carrel::Registry* registry) {
  if (abi != CARREL_PLUGIN_ABI) return static_cast<int>(CARREL_PLUGIN_ABI);
  carrel::register_zmq(*registry);
  return 0;
}
