#include <carrel/plugin.h>

extern "C" CARREL_PLUGIN_EXPORT int carrel_plugin(unsigned, carrel::Registry*) {
  return 7'000;
}
