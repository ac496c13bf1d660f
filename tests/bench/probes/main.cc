// probe NAME [options]: prints one number. Run by `figures`; by hand under a profiler.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "probe.h"

int main(int argc, char** argv) {
  std::map<std::string, bench::Probe> probes = bench::memory_probes();
  probes.merge(bench::sqlite_probes());
  probes.merge(bench::process_probes());
  probes.merge(bench::fork_probes());

  CLI::App app("Measures one side of a figure.", "probe");
  bench::Options options;
  std::string name;
  std::size_t gap_us = 0;
  app.add_option("name", name)->required()->check(CLI::IsMember(probes));
  app.add_option("--jobs", options.jobs);
  app.add_option("--batch", options.batch);
  app.add_option("--threads", options.threads)->check(CLI::PositiveNumber);
  app.add_option("--concurrency", options.concurrency)->check(CLI::PositiveNumber);
  app.add_option("--recycle", options.recycle)->check(CLI::PositiveNumber);
  app.add_option("--resident", options.resident_mb, "MB that the host makes resident");
  app.add_option("--gap-us", gap_us);
  app.add_option("--scratch", options.scratch);
  app.add_option("--echo", options.echo);
  app.add_option("--store", options.store);
  CLI11_PARSE(app, argc, argv);
  options.gap = std::chrono::microseconds(gap_us);

  try {
    std::printf("%.6g\n", probes.at(name)(options));
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), e.what());
    return 1;
  }
}
