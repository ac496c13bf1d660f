#include "conversion.h"

#include <trial/scratch.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <thread>

#include "formats/formats.h"

namespace convert_web {
namespace {

namespace fs = std::filesystem;
using carrel::Code;
using carrel::fail;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct Stopped {};  // thrown through the reader or writer that is under way

// Passes on progress, at the pace that was asked for.
class Pace {
 public:
  Pace(const ConversionJob& job, const Surroundings& around)
      : job_(job), around_(around), start_(steady_clock::now()) {}

  void report(double fraction, std::string_view doing) {
    say(fraction, doing);
    const milliseconds due(static_cast<std::int64_t>(fraction * job_.slow_ms));
    while (steady_clock::now() - start_ < due) {
      std::this_thread::sleep_for(milliseconds(10));
      const std::chrono::duration<double, std::milli> past = steady_clock::now() - start_;
      say(std::min(fraction, past.count() / static_cast<double>(job_.slow_ms)), doing);
    }
    while (fraction >= 0.5 && !job_.hold.empty() && fs::exists(job_.hold)) {
      std::this_thread::sleep_for(milliseconds(10));
      say(fraction, doing);
    }
  }
  std::size_t reports() const { return reports_; }

 private:
  void say(double fraction, std::string_view doing) {
    if (around_.stopping()) throw Stopped{};
    ++reports_;
    around_.progress(fraction, doing);
  }

  const ConversionJob& job_;
  const Surroundings& around_;
  const steady_clock::time_point start_;
  std::size_t reports_ = 0;
};

// Every page is touched, as by a library that fills what it forgets.
void leak(std::uint64_t bytes) {
  if (bytes == 0) return;
  void* const memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0x5a, bytes);
  asm volatile("" : : "r"(memory) : "memory");  // or a compiler sees that nobody reads it
}

// Whole or not at all: a kill while it is written leaves no half of a result.
bool write_whole(const std::string& file, const std::string& text) {
  const std::string part = file + ".part";
  if (!trial::write_file(part, text)) return false;
  std::error_code error;
  fs::rename(part, file, error);
  return !error;
}

}  // namespace

carrel::Result<carrel::Json> run_conversion(const ConversionJob& job,
                                            const Surroundings& around) {
  leak(job.leak_bytes);
  std::error_code error;
  if (!fs::is_regular_file(job.input, error)) {
    return fail(Code::kDiscarded, "The file that was uploaded is gone.");
  }
  const std::string text = trial::content_of(job.input);
  Pace pace(job, around);
  try {
    const auto converted = tracks::convert(
        text, {job.from, job.to, {job.width, job.height}, job.shift},
        [&](double fraction, std::string_view doing) { pace.report(fraction, doing); });
    if (!converted) return fail(Code::kDiscarded, converted.error().sentence());
    if (!write_whole(job.output, converted->text)) {
      return fail(Code::kUnavailable, "The result cannot be written.");
    }
    return carrel::Json{
        {"from", converted->from},         {"to", job.to},
        {"width", converted->size.width},  {"height", converted->size.height},
        {"tracks", converted->tracks},     {"points", converted->points},
        {"first", converted->first},       {"last", converted->last},
        {"bytes", converted->text.size()}, {"notes", converted->notes},
        {"reports", pace.reports()}};
  } catch (const Stopped&) {
    return fail(Code::kCancelled, "The conversion was stopped.");
  }
}

carrel::Result<carrel::Json> run_conversion(carrel::Context& context,
                                            const ConversionJob& job) {
  return run_conversion(job, {[&](double fraction, std::string_view doing) {
                                context.progress(static_cast<float>(fraction), doing);
                              },
                              [&] { return context.stopping(); }});
}

int conversion_program() {
  const std::string payload{std::istreambuf_iterator<char>(std::cin), {}};
  const auto json = carrel::Json::parse(payload, nullptr, false);
  ConversionJob job;
  try {
    json.get_to(job);  // what was no JSON is no object either
  } catch (const carrel::Json::exception&) {
    std::fputs("what is on stdin is no job\n", stderr);
    return 2;
  }
  const auto result =
      run_conversion(job, {[](double fraction, std::string_view doing) {
                             ::dprintf(3, "progress %.4f %.*s\n", fraction,
                                       static_cast<int>(doing.size()), doing.data());
                           },
                           [] { return false; }});
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().message.c_str());
    return 1;
  }
  std::cout << *result << '\n';
  return 0;
}

}  // namespace convert_web
