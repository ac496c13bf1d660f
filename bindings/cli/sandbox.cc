// One program in a profile, to try the profile.
#include <cstdlib>

#include "commands.h"
#include "json_input.h"
#include "sandboxed.h"
#include "session.h"
#include "text.h"

namespace carrel::cli {

int sandbox(const Global& global, const SandboxArgs& args) {
  const auto config = load_or_defaults(global);  // a tier needs no configuration
  if (!config) return failed(config.error());
  if (!config->sandbox(args.profile)) {
    complain("there is no sandbox \"" + cut(printable(args.profile), 60) +
             "\" in the configuration");
    return kUsage;
  }
  SandboxedRun run{args.profile, args.command, {}, args.timeout};
  if (!args.args.empty()) {
    const auto text = args.args == "-" ? read_input() : Result<std::string>(args.args);
    if (!text) return failed(text.error());
    auto json = parse_json(*text, "the arguments");
    if (!json) return failed(json.error());
    run.args = std::move(*json);
  }
  const auto outcome = run_sandboxed(*config, run);
  if (!outcome) return failed(outcome.error());
  print_json(to_json(*outcome));
  return outcome->klass == OutcomeClass::kOk ? kOk : kJobFailed;
}

}  // namespace carrel::cli
