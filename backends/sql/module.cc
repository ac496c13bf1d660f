// What makes libcarrel_sql.so a plugin of carrel.
#include <carrel/plugin.h>
#include <carrel/sql.h>

extern "C" CARREL_PLUGIN_EXPORT int carrel_plugin(unsigned abi,
                                                  carrel::Registry* registry) {
  if (abi != CARREL_PLUGIN_ABI) return static_cast<int>(CARREL_PLUGIN_ABI);
  carrel::register_sql(*registry);
  return 0;
}
