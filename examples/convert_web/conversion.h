// The job: one file of tracking data into another format.
#pragma once

#include <carrel/context.h>

#include <nlohmann/json.hpp>
#include <string>

namespace convert_web {

struct ConversionJob {
  std::string input, output;  // paths that the host chose
  std::string from;           // a format's id; empty: what the file looks like
  std::string to;
  int width = 1920, height = 1080;  // of the picture, where the file does not say it
  int shift = 0;                    // added to every frame
  std::uint64_t leak_bytes = 0;     // that are never given back, as such libraries do
  std::int64_t slow_ms = 0;         // takes so long at least, to be watched
  std::string hold;  // half-way it waits for as long as this file exists: for tests
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ConversionJob, input, output, from, to,
                                                width, height, shift, leak_bytes, slow_ms,
                                                hold)

// What it needs of where it runs: in a handler, or in a program of its own.
struct Surroundings {
  std::function<void(double fraction, std::string_view doing)> progress;
  std::function<bool()> stopping;
};

// What came out: format, tracks, points, first and last frame, notes, and the number of
// reports. The output is there whole or not at all. kDiscarded: the file is at fault,
// with a sentence for its owner; no retry mends that.
carrel::Result<carrel::Json> run_conversion(const ConversionJob& job,
                                            const Surroundings& around);
carrel::Result<carrel::Json> run_conversion(carrel::Context& context,
                                            const ConversionJob& job);

// The same as a program, for isolation `exec`: the job on stdin, the result on stdout,
// progress on descriptor 3; its exit code.
int conversion_program();

}  // namespace convert_web
