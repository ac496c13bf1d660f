// Rebuilds what claims read, where much has died in it.
#include <cstdio>

#include "absolute_url.h"
#include "commands.h"
#include "session.h"
#include "text.h"
#include "wording.h"

namespace carrel::cli {

int reindex(const Global& global) {
  auto config = load_config(global);
  if (!config) return failed(config.error());
  const auto url = Url::parse(absolute_url(*config, config->store));
  if (!url) return failed(url.error());
  auto registry = registry_of(*config);
  if (!registry) return failed(registry.error());
  const auto reindex = registry->reindex(url->scheme);
  if (!reindex) return failed(reindex.error());
  if (*reindex == nullptr) {
    complain(quote(url->redacted()) + " has nothing to rebuild here");
    return kUsage;
  }
  auto done = (**reindex)(*url);
  if (!done) {
    Error error = done.error();
    if (error.code == Code::kNotFound)
      error.code = Code::kUnavailable;  // no job is meant
    return failed(error);
  }
  if (global.json) {
    print_json({{"bytes_before", done->bytes_before},
                {"bytes_after", done->bytes_after},
                {"how", done->how}});
    return kOk;
  }
  std::printf("%s: %s bytes before, %s after; by %s\n", url->redacted().c_str(),
              grouped(done->bytes_before).c_str(), grouped(done->bytes_after).c_str(),
              done->how.c_str());
  return kOk;
}

}  // namespace carrel::cli
