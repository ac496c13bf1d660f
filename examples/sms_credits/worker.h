// A process that sends: the program itself, started by a trial as "--worker FOLDER N".
#pragma once

#include <carrel/engine.h>

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace sms {

// What a trial's processes agree on: FOLDER/work.json.
struct Work {
  std::string way;
  std::string store;  // a URL; an absolute path where it is a file
  std::string community;
  std::string gateway;  // where messages go
  std::size_t credits = 100;
  std::size_t recipients = 500;
  std::size_t at_once = 8;  // jobs in a process
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Work, way, store, community, gateway, credits,
                                   recipients, at_once)

Work read_work(const std::filesystem::path& folder);
// Of every process of the trial. Its queue is the community's own.
carrel::Config config_of(const Work& work);
std::string recipient(std::size_t number);

// Says "ready" on stdout; begins at a line of stdin; says "done" if there is anything
// that it does by itself; ends with stdin. An exit code.
int run_worker(const std::filesystem::path& folder, std::size_t number);

}  // namespace sms
