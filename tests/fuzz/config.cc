// The configuration's reader: any text is a configuration that validates, or a message
// that names its place; nothing else.
#include <carrel/config.h>

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = carrel::Config::parse(text, "fuzz.toml");
  if (config) {
    if (!config->validate()) std::abort();
    for (const auto& [name, kind] : config->jobs) (void)kind.limits();
  } else if (config.error().code != carrel::Code::kInvalid ||
             !config.error().message.starts_with("fuzz.toml")) {
    std::abort();
  }
  // A duration that can be read is what to_text prints of it.
  if (const auto duration = carrel::parse_duration(text)) {
    const auto again = carrel::parse_duration(carrel::to_text(*duration));
    if (!again || *again != *duration) std::abort();
  }
  return 0;
}
