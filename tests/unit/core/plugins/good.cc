#include <carrel/plugin.h>

extern "C" CARREL_PLUGIN_EXPORT int carrel_plugin(unsigned abi,
                                                  carrel::Registry* registry) {
  if (abi != CARREL_PLUGIN_ABI) return CARREL_PLUGIN_ABI;
  registry->add_store("good",
                      [](const carrel::Url& url, const carrel::BackendOptions&)
                          -> carrel::Result<std::unique_ptr<carrel::Store>> {
                        return carrel::fail(carrel::Code::kUnavailable,
                                            "the plugin saw " + url.text);
                      });
  registry->add_isolation("padded_cell", {});
  return 0;
}
