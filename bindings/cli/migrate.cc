// Brings the tables of a store forward, or says what that would do.
#include <cstdio>

#include "absolute_url.h"
#include "commands.h"
#include "session.h"
#include "text.h"
#include "wording.h"

namespace carrel::cli {

int migrate(const Global& global, const MigrateArgs& args) {
  auto config = load_config(global);
  if (!config) return failed(config.error());
  const auto url = Url::parse(absolute_url(*config, config->store));
  if (!url) return failed(url.error());
  auto registry = registry_of(*config);
  if (!registry) return failed(registry.error());
  const auto schema = registry->schema(url->scheme);
  if (!schema) return failed(schema.error());
  if (*schema == nullptr) {
    if (global.json) {
      Json document{{"from", nullptr}, {"to", nullptr}, {"applied", false}};
      if (args.sql) document["sql"] = "";
      print_json(document);
    }
    std::fprintf(stderr, "%s has no tables to bring forward from here\n",
                 quote(url->redacted()).c_str());
    return kOk;
  }
  const bool apply = !args.dry_run && !args.sql;
  auto change = (**schema)(*url, apply);
  if (!change) {
    // No folder for a file: no job is looked for.
    if (change.error().code == Code::kNotFound) change.error().code = Code::kUnavailable;
    return failed(change.error());
  }
  if (args.sql && !global.json) {
    std::fputs(change->sql.c_str(), stdout);
    return kOk;
  }
  if (global.json) {
    Json document{{"from", change->from},
                  {"to", change->to},
                  {"applied", apply && change->from != change->to}};
    if (args.sql) document["sql"] = change->sql;
    print_json(document);
    return kOk;
  }
  const std::string store = url->redacted();
  if (change->from == change->to) {
    std::printf("%s: version %d, nothing to do\n", store.c_str(), change->to);
  } else {
    std::printf("%s: version %d %s version %d\n", store.c_str(), change->from,
                apply ? "became" : "would become", change->to);
  }
  return kOk;
}

}  // namespace carrel::cli
