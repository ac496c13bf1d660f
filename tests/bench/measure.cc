#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "figure.h"

namespace bench {
namespace {

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> bytes;
  for (ssize_t got; (got = read(fd, bytes.data(), bytes.size())) > 0;) {
    text.append(bytes.data(), static_cast<std::size_t>(got));
  }
  return text;
}

std::optional<double> last_number(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  const std::string line(text.substr(text.rfind('\n') + 1));
  char* end = nullptr;
  const double number = std::strtod(line.c_str(), &end);
  if (line.empty() || *end != '\0' || !std::isfinite(number)) return std::nullopt;
  return number;
}

std::optional<double> run(const Command& command) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const auto failed = [&](const std::string& why) {
    std::string line;
    for (const std::string& word : command) line += word + ' ';
    std::fprintf(stderr, "%s: %s\n", line.c_str(), why.c_str());
    return std::nullopt;
  };

  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return failed("no pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  const std::string said = error == 0 ? read_all(ends[0]) : std::string();
  close(ends[0]);
  if (error != 0) return failed("cannot be started");

  int status = 0;
  waitpid(pid, &status, 0);
  if (status != 0) return failed("status " + std::to_string(status));
  const std::optional<double> number = last_number(said);
  if (!number) return failed("printed no number");
  return number;
}

}  // namespace

std::optional<Measured> measure(const Figure& figure, bool verbose) {
  std::vector<Measured> pairs;
  for (std::size_t i = 0; i < figure.pairs; ++i) {
    const std::optional<double> value = run(figure.ours);
    if (!value) return std::nullopt;
    const std::optional<double> limit =
        figure.limit.empty() ? std::optional(figure.fixed_limit) : run(figure.limit);
    if (!limit) return std::nullopt;
    const double ratio = *limit == 0 ? 0 : *value / *limit;
    if (verbose) {
      std::fprintf(stderr, "  %s %.6g / %.6g = %.3f\n", figure.name.c_str(), *value,
                   *limit, ratio);
    }
    pairs.push_back({*value, *limit, ratio, false});
  }
  std::sort(pairs.begin(), pairs.end(),
            [](const Measured& a, const Measured& b) { return a.ratio < b.ratio; });
  Measured middle = pairs[pairs.size() / 2];
  middle.pass = figure.better == Better::kHigher ? middle.ratio >= figure.target
                                                 : middle.ratio <= figure.target;
  return middle;
}

}  // namespace bench
