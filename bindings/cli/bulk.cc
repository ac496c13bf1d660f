#include "bulk.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <string>

#include "text.h"

namespace carrel::cli {

Bulk::Bulk() : interrupt_(let_the_next_end_it) { std::signal(SIGPIPE, SIG_IGN); }

int Bulk::between() const {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) return kStoreAway;
  return interrupt_.came() ? kInterrupted : kOk;
}

int worse(int a, int b) noexcept {
  // Least severe first.
  constexpr std::array kOrder{kOk,       kJobFailed, kNotFound,   kUsage,
                              kTimedOut, kStoreAway, kInterrupted};
  const auto rank = [&](int code) {
    return std::find(kOrder.begin(), kOrder.end(), code);
  };
  return rank(a) < rank(b) ? b : a;
}

void tell_rest(std::size_t done, std::size_t of, std::string_view what, JobId rest) {
  complain(grouped(done) + " of " + counted(of, "job") + (of == 1 ? " was " : " were ") +
           std::string(what) + "; those from job " + std::to_string(value(rest)) +
           " on were not tried");
}

}  // namespace carrel::cli
