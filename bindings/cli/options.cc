#include "options.h"

#include <carrel/registry.h>

#include <algorithm>
#include <charconv>

#include "text.h"
#include "utf8.h"
#include "wording.h"

namespace carrel::cli {
namespace {

bool is_number(const std::string& text, std::uint64_t least) {
  constexpr std::uint64_t kLargestId = std::uint64_t{1} << 62;
  std::uint64_t id = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, id);
  return error == std::errc() && at == end && id >= least && id <= kLargestId;
}

void drop_zeros(std::string& number) {
  const std::size_t digits = number.starts_with('-') ? 1 : 0;
  const std::size_t first = number.find_first_not_of('0', digits);
  number.erase(digits, std::min(first, number.size() - 1) - digits);
}

// Of texts that are `right`; to CLI11 itself a 0 in front means octal.
template <class Right>
CLI::Option* in_decimal(CLI::Option* option, const std::string& expected, Right right) {
  return option->transform(CLI::Validator(
      [expected, right](std::string& text) -> std::string {
        if (!right(text)) return "expected " + expected + ", got " + shown(text);
        drop_zeros(text);
        return {};
      },
      ""));
}

void states(CLI::App* app, std::vector<State>& out) {
  app->add_option_function<std::vector<std::string>>(
         "--state",
         [&out](const std::vector<std::string>& names) {
           for (const std::string& name : names) {
             const auto state = parse_state(name);
             if (!state) {
               throw CLI::ValidationError(
                   "--state", shown(name) +
                                  " is none of pending, scheduled, available, running, "
                                  "retryable, completed, cancelled, discarded");
             }
             out.push_back(*state);
           }
         },
         "Only jobs in this state; several, joined by ','")
      ->type_name("STATE")
      ->delimiter(',');
}

}  // namespace

CLI::Option* duration(CLI::App* app, const std::string& name, Duration& out,
                      const std::string& help) {
  return app
      ->add_option_function<std::string>(
          name,
          [&out, name](const std::string& text) {
            const auto parsed = parse_duration(text);
            if (!parsed) throw CLI::ValidationError(name, parsed.error().message);
            if (parsed->count() < 0)
              throw CLI::ValidationError(name, "must not be negative");
            out = *parsed;
          },
          help)
      ->type_name("DURATION");
}

std::string shown(const std::string& text) {
  const auto url = Url::parse(text);
  return quote(cut(printable(url ? url->redacted() : text), 60));
}

CLI::Option* job_id(CLI::Option* option) {
  return in_decimal(option->type_name("ID"), "the id of a job, such as 7",
                    [](const std::string& text) { return is_number(text, 1); });
}

std::string empty_text(const std::string& text) {
  return text.empty() ? "it is empty: leave it out if it shall not be said" : "";
}

std::string no_name(const std::string& text) {
  if (!is_utf8(text)) return "it is not UTF-8, got " + shown(text);
  return empty_text(text);
}

CLI::Option* decimal(CLI::Option* option) {
  return in_decimal(option, "a decimal number", [](const std::string& text) {
    const std::size_t digits = text.starts_with('-') ? 1 : 0;
    return text.size() > digits &&
           text.find_first_not_of("0123456789", digits) == std::string::npos;
  });
}

CLI::Option* job_ids(CLI::App* app, std::vector<JobId>& out) {
  return job_id(app->add_option_function<std::vector<std::uint64_t>>(
      "id",
      [&out](const std::vector<std::uint64_t>& ids) {
        for (std::uint64_t id : ids) out.push_back(JobId{id});
      },
      "Ids of jobs"));
}

void filter(CLI::App* app, Filter& out) {
  states(app, out.states);
  app->add_option("--kind", out.kind, "Only jobs of this kind")
      ->type_name("KIND")
      ->check(no_name);
  app->add_option("--queue", out.queue, "Only jobs in this queue")
      ->type_name("QUEUE")
      ->check(no_name);
  duration(app, "--older-than", out.older_than,
           "Only jobs enqueued at least this long ago");
}

void before(CLI::App* app, JobId& out, const char* help) {
  auto* option = app->add_option_function<std::uint64_t>(
      "--before", [&out](std::uint64_t id) { out = JobId{id}; }, help);
  in_decimal(option->type_name("ID"), "the id of a job, such as 7, or 0",
             [](const std::string& text) { return is_number(text, 0); });
}

}  // namespace carrel::cli
