#include <carrel/memory.h>

#include <charconv>
#include <string>

#include "memory_queue.h"
#include "memory_store.h"

namespace carrel {
namespace {

Result<void> check_address(const Url& url) {
  if (url.rest.empty()) return {};
  return fail(Code::kInvalid,
              "\"" + url.text + R"(": nothing may follow "memory:" but options, and ")" +
                  url.rest + "\" does",
              "memory");
}

tl::unexpected<Error> unknown_option(const Url& url, const std::string& name,
                                     const char* known) {
  return fail(Code::kInvalid,
              "\"" + url.text + "\": unknown option \"" + name + "\"; known: " + known,
              "memory");
}

Result<std::unique_ptr<Store>> open_store(const Url& url, const BackendOptions& options) {
  if (auto ok = check_address(url); !ok) return tl::unexpected(ok.error());
  if (!url.query.empty()) return unknown_option(url, url.query.begin()->first, "none");
  return make_memory_store(options);
}

Result<std::unique_ptr<Queue>> open_queue(const Url& url,
                                          const BackendOptions& /*options*/) {
  if (auto ok = check_address(url); !ok) return tl::unexpected(ok.error());
  std::size_t capacity = kMemoryQueueCapacity;
  for (const auto& [name, text] : url.query) {
    if (name != "capacity") return unknown_option(url, name, "capacity");
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, capacity);
    if (error != std::errc{} || stop != end || capacity == 0) {
      return fail(
          Code::kInvalid,
          "\"" + url.text + "\": capacity is a whole number from 1, got \"" + text + "\"",
          "memory");
    }
  }
  return make_memory_queue(capacity);
}

}  // namespace

void register_memory(Registry& registry) {
  registry.add_store("memory", open_store);
  registry.add_queue("memory", open_queue);
}

std::unique_ptr<Store> make_memory_store(const BackendOptions& options) {
  return std::make_unique<memory::MemoryStore>(options);
}

std::unique_ptr<Queue> make_memory_queue(std::size_t capacity) {
  return std::make_unique<memory::MemoryQueue>(capacity);
}

}  // namespace carrel
