#include "trial.h"

#include <trial/child.h>
#include <trial/leftovers.h>
#include <trial/scratch.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "course.h"
#include "handler.h"

namespace grader {
namespace {

namespace fs = std::filesystem;
using carrel::Json;
using std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

carrel::Result<void> out_of_patience() {
  return carrel::fail(carrel::Code::kTimeout, "the grades did not end in time");
}

void fill(Row& row, const carrel::JobRecord& record) {
  if (record.state == carrel::State::kCompleted) {
    row.grade = Json::parse(record.result).get<Grade>();
  } else {
    row.error =
        record.attempts.empty() ? "it was not graded" : record.attempts.back().message;
  }
}

// All that ship, each aimed at a canary of its own.
carrel::Result<void> grade_all(Course& course, const TrialWork& work,
                               const std::vector<Listed>& listed, const fs::path& folder,
                               TrialResult& result) {
  std::vector<std::unique_ptr<Canary>> canaries;
  std::vector<Submission> submissions;
  std::vector<std::size_t> rows;
  for (const Listed& one : listed) {
    Row row{one.submission.name, one.verdict, {}, {}, {}, one.hostile(), {}};
    if (work.way != "sandbox") row.withheld = one.withheld;
    if (row.withheld.empty()) {
      canaries.push_back(std::make_unique<Canary>(
          folder / "site", fs::path(work.files) / "problems" / one.submission.problem,
          one.submission));
      submissions.push_back(canaries.back()->aimed(one.submission));
      rows.push_back(result.rows.size());
    }
    result.rows.push_back(std::move(row));
  }
  const std::size_t before = course.ended();
  const auto ids = course.hand_in(submissions, kPull);
  if (!ids) return tl::unexpected<carrel::Error>(ids.error());
  if (!course.wait_for(before + ids->size())) return out_of_patience();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto record = course.record((*ids)[i]);
    if (!record) return tl::unexpected<carrel::Error>(record.error());
    Row& row = result.rows[rows[i]];
    fill(row, *record);
    row.escape = canaries[i]->look(Json(*record).dump());
    // Its answer can only be the site's own.
    if (row.grade.verdict == "AC" && row.right != "AC") row.escape.read = true;
  }
  return {};
}

// Those that mean well and end by themselves, against the clock.
carrel::Result<void> time_them(Course& course, const TrialWork& work,
                               const std::vector<Listed>& listed, TrialResult& result) {
  std::vector<Submission> submissions;
  for (std::size_t round = 0; round < work.rounds; ++round) {
    for (const Listed& one : listed) {
      const bool ends = one.verdict == "AC" || one.verdict == "WA" ||
                        one.verdict == "RE" || one.verdict == "CE";
      if (ends && !one.hostile()) submissions.push_back(one.submission);
    }
  }
  const std::size_t before = course.ended();
  const auto start = steady_clock::now();
  if (auto ids = course.hand_in(submissions, kPull); !ids) {
    return tl::unexpected<carrel::Error>(ids.error());
  }
  if (!course.wait_for(before + submissions.size())) return out_of_patience();
  result.seconds = std::chrono::duration<double>(steady_clock::now() - start).count();
  result.graded = submissions.size();
  return {};
}

struct Span {
  carrel::Time enqueued, started;
};

carrel::Result<std::vector<Span>> spans_of(Course& course,
                                           const std::vector<carrel::JobId>& ids) {
  std::vector<Span> out;
  for (const carrel::JobId id : ids) {
    const auto record = course.record(id);
    if (!record) return tl::unexpected<carrel::Error>(record.error());
    if (!record->started) {
      return carrel::fail(carrel::Code::kFailed, "a grade was never started");
    }
    out.push_back({record->enqueued, *record->started});
  }
  return out;
}

std::vector<double> waits_of(const std::vector<Span>& spans) {
  std::vector<double> out;
  for (const Span& span : spans) {
    out.push_back(Milliseconds(span.started - span.enqueued).count());
  }
  std::sort(out.begin(), out.end());
  return out;
}

// Every time here is the store's, so that they can be compared. A pull that is being
// committed while a claim looks may be older by its time than what that claim takes: an
// enqueue and a claim are a transaction each, so twice the longest enqueue covers both.
Waits compare(const std::vector<Span>& pulls, const std::vector<Span>& pushes,
              Milliseconds slowest) {
  Waits out{waits_of(pulls), waits_of(pushes), 0, 0, 2 * slowest.count()};
  for (const Span& push : pushes) {
    double oldest = 0;
    for (const Span& pull : pulls) {
      if (pull.started <= push.started || pull.enqueued >= push.started) continue;
      oldest = std::max(oldest, Milliseconds(push.started - pull.enqueued).count());
    }
    out.longest_ms = std::max(out.longest_ms, oldest);
    if (oldest > out.race_ms) ++out.overtaken;
  }
  return out;
}

// A night's re-grades are under way, and students come by in pairs.
carrel::Result<void> pulls_among_pushes(Course& course, const TrialWork& work,
                                        const std::vector<Listed>& listed,
                                        TrialResult& result) {
  std::vector<Submission> short_ones;
  for (const Listed& one : listed) {
    const bool compiled = one.submission.language == "c++";
    if (one.verdict == "AC" && !one.hostile() && !compiled) {
      short_ones.push_back(one.submission);
    }
  }
  const std::size_t visits = 6 * work.rounds;
  std::vector<Submission> regrades;
  while (regrades.size() < 4 * visits) {
    regrades.push_back(short_ones[regrades.size() % short_ones.size()]);
  }
  const auto pushes = course.hand_in(regrades, kPush);
  if (!pushes) return tl::unexpected<carrel::Error>(pushes.error());
  std::vector<carrel::JobId> pulls;
  Milliseconds slowest{0};
  for (std::size_t visit = 0; visit < visits; ++visit) {
    if (!course.wait_for(2 * visit + 1)) return out_of_patience();
    const auto start = steady_clock::now();
    const auto ids = course.hand_in({short_ones[0], short_ones[1]}, kPull);
    slowest = std::max(slowest, Milliseconds(steady_clock::now() - start));
    if (!ids) return tl::unexpected<carrel::Error>(ids.error());
    pulls.insert(pulls.end(), ids->begin(), ids->end());
  }
  if (!course.wait_for(pushes->size() + pulls.size())) return out_of_patience();
  const auto of_pulls = spans_of(course, pulls), of_pushes = spans_of(course, *pushes);
  if (!of_pulls) return tl::unexpected<carrel::Error>(of_pulls.error());
  if (!of_pushes) return tl::unexpected<carrel::Error>(of_pushes.error());
  result.waits = compare(*of_pulls, *of_pushes, slowest);
  return {};
}

TrialResult run(const TrialWork& work, const fs::path& folder) {
  TrialResult result;
  const auto listed = read_manifest(fs::path(work.files) / "submissions");
  if (!listed) {
    result.error = listed.error().message;
    return result;
  }
  plant_password();
  auto course = Course::open(work, folder);
  if (!course) {
    const bool cannot = course.error().code == carrel::Code::kUnsupported;
    (cannot ? result.skipped : result.error) = course.error().message;
    return result;
  }
  carrel::Result<void> done;
  if (work.order.empty()) {
    done = time_them(**course, work, *listed, result);
    if (done) done = grade_all(**course, work, *listed, folder, result);
  } else {
    done = pulls_among_pushes(**course, work, *listed, result);
  }
  if (!done) result.error = done.error().message;
  return result;
}

}  // namespace

int run_trial(const fs::path& folder) {
  trial::begin(folder);
  TrialResult result;
  try {
    const auto work =
        Json::parse(trial::content_of(folder / "work.json")).get<TrialWork>();
    // The first engine starts the process server, which stays: look at what is held
    // after. What is wrong comes out again below.
    std::ignore = Course::open(work, folder);
    const trial::Held before = trial::held_now();
    result = run(work, folder);
    const auto deadline = steady_clock::now() + std::chrono::seconds(10);
    // Sandboxes that are kept ready end when they see that their engine has closed.
    while (!(result.left = trial::more_than(before, trial::held_now())).empty() &&
           steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  } catch (const std::exception& e) {
    result.error = e.what();
  }
  std::ofstream out(folder / "result.json");
  out << Json(result) << '\n';
  return out.flush() ? 0 : 1;
}

}  // namespace grader
