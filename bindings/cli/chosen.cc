#include "chosen.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "bulk.h"
#include "session.h"
#include "text.h"

namespace carrel::cli {
namespace {

Result<std::vector<JobId>> matching(Engine& engine, const Filter& filter) {
  std::vector<JobId> ids;
  JobId before{};
  while (true) {
    const auto jobs = engine.list(filter, before, kBatch);
    if (!jobs) return tl::unexpected<Error>(jobs.error());
    if (jobs->empty()) return ids;
    for (const JobRecord& job : *jobs) {
      if (!is_hold(job.kind)) ids.push_back(job.id);
    }
    before = jobs->back().id;
  }
}

std::string capitalised(std::string word) {
  word[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(word[0])));
  return word;
}

Result<bool> confirmed(const ChosenJobs& chosen, std::size_t n, const Verb& verb) {
  if (chosen.yes) return true;
  if (!is_terminal(stdin) || !is_terminal(stderr)) {
    return fail(Code::kInvalid, counted(n, "job") + (n == 1 ? " matches" : " match") +
                                    ": say --yes to " + verb.plain +
                                    (n == 1 ? " it" : " them") +
                                    ", or --dry-run to see which");
  }
  std::fprintf(stderr, "%s %s? [y/N] ", capitalised(verb.plain).c_str(),
               counted(n, "job").c_str());
  std::string answer;
  std::getline(std::cin, answer);
  std::transform(answer.begin(), answer.end(), answer.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const bool yes = answer == "y" || answer == "yes";
  if (!yes) std::fprintf(stderr, "nothing %s\n", verb.done);
  return yes;
}

}  // namespace

Changed change_chosen(Engine& engine, const ChosenJobs& chosen, const Verb& verb,
                      const Change& change) {
  Changed changed;
  const auto ids = matching(engine, chosen.filter);
  if (!ids) {
    changed.code = failed(ids.error());
    return changed;
  }
  if (chosen.dry_run) {
    for (const JobId id : *ids) change.would(id);
    std::fprintf(stderr, "%s would be %s\n", counted(ids->size(), "job").c_str(),
                 verb.done);
    return changed;
  }
  if (!ids->empty()) {
    const auto yes = confirmed(chosen, ids->size(), verb);
    if (!yes) changed.code = failed(yes.error());
    if (!yes || !*yes) return changed;
  }
  changed.of = ids->size();
  const Bulk bulk;
  for (std::size_t at = 0; at < ids->size(); at += kBatch) {
    const auto batch = std::span(*ids).subspan(at, std::min(kBatch, ids->size() - at));
    changed.code = bulk.between();
    if (changed.code == kOk) {
      const auto away = change.batch(batch, changed.done);
      if (away) changed.code = failed(*away);
    }
    if (changed.code == kOk) continue;
    tell_rest(changed.done, ids->size(), verb.done, batch.front());
    return changed;
  }
  std::fprintf(stderr, "%s %s\n", counted(changed.done, "job").c_str(), verb.done);
  return changed;
}

}  // namespace carrel::cli
