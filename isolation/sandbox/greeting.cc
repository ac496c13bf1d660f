#include "greeting.h"

namespace carrel::sandbox {

using process::Reader;
using process::Writer;

std::string encode(const Greeting& greeting) {
  std::string out;
  Writer writer(out);
  writer.put(greeting.stage);
  writer.put(greeting.error);
  writer.put_text(greeting.what);
  writer.put(static_cast<std::uint32_t>(greeting.enforced.size()));
  for (const auto& name : greeting.enforced) writer.put_text(name);
  return out;
}

std::optional<Greeting> decode_greeting(std::string_view in) {
  Reader reader(in);
  Greeting greeting;
  greeting.stage = reader.get<process::Reply::Stage>();
  greeting.error = reader.get<int>();
  greeting.what = reader.get_text();
  const auto count = reader.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
    greeting.enforced.emplace_back(reader.get_text());
  }
  if (!reader.whole()) return std::nullopt;
  return greeting;
}

}  // namespace carrel::sandbox
