#include "show.h"

#include <report/text.h>

#include <algorithm>
#include <cstdio>

#include "tables.h"

namespace compare {

using report::Tone;

void Show::print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

void Show::opening(const Comparison& c) {
  print(report::paragraph(terminal_, c.work) +
        report::paragraph(terminal_, machine_line(c.facts), 0, Tone::kDim) +
        report::paragraph(terminal_, busy_warning(c), 0, Tone::kBad));
}

void Show::measuring(const std::string& what, std::size_t number, std::size_t of) {
  print(report::live_line(terminal_, "measuring " + std::to_string(number) + " of " +
                                         std::to_string(of) + ": " + what));
}

void Show::group(const Comparison& c) {
  print(report::live_line(terminal_, ""));
  const std::vector<report::Column> heads = columns(c);
  for (; printed_ < c.outcomes.size(); ++printed_) {
    const Outcome& o = c.outcomes[printed_];
    if (pair_name(o) != pair_) {
      pair_ = pair_name(o);
      print("\n" + report::title_line(terminal_, pair_));
      if (o.status != Status::kRefused) print(report::head_line(terminal_, heads));
    } else if (o.concurrency != c.outcomes[printed_ - 1].concurrency &&
               o.status != Status::kRefused) {
      print("\n");
    }
    // One combination is refused for the reason that its neighbour was: said once.
    const bool repeated = printed_ > 0 && o.status == Status::kRefused &&
                          c.outcomes[printed_ - 1].status == Status::kRefused &&
                          c.outcomes[printed_ - 1].reason == o.reason &&
                          pair_name(c.outcomes[printed_ - 1]) == pair_;
    if (repeated) continue;
    if (o.status == Status::kRefused) {
      print(report::paragraph(terminal_, "refused: " + o.reason));
      continue;
    }
    print(report::row_line(terminal_, heads, row(o)));
    if (o.status == Status::kFailed) {
      print(report::paragraph(terminal_, o.reason, 2, Tone::kBad));
    }
  }
}

void Show::closing(const Comparison& c) {
  std::string text = "\n" + report::title_line(terminal_, "What came out");
  for (const std::string& finding : findings(c)) {
    text += report::paragraph(terminal_, finding);
  }
  const std::vector<std::string> violations = judge(c);
  if (violations.empty()) {
    text += report::paragraph(terminal_,
                              "✓ As it must be: wrong hashes only where threads shared "
                              "crypt(3). " +
                                  report::fixed(c.seconds, 0) + " s in all.",
                              0, Tone::kGood);
  }
  constexpr std::size_t kMost = 12;
  for (std::size_t i = 0; i < std::min(violations.size(), kMost); ++i) {
    text += report::paragraph(terminal_, "✗ " + violations[i], 0, Tone::kBad);
  }
  if (violations.size() > kMost) {
    text += report::paragraph(
        terminal_,
        "… and " + std::to_string(violations.size() - kMost) + " more; --json has all", 0,
        Tone::kBad);
  }
  print(text);
}

}  // namespace compare
