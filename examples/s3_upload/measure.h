// Runs trials in processes of their own, and reads back every object.
#pragma once

#include <carrel/result.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "results.h"
#include "stand_in.h"

namespace s3 {

struct Plan {
  std::vector<std::string> files;
  // Name and URL; a relative sqlite path is in a folder of the trial.
  std::vector<std::pair<std::string, std::string>> stores;
  std::size_t at_once = 8;
  Settings server;              // endpoint, region, bucket, keys
  StandIn* stand_in = nullptr;  // nullptr: another server, which makes no faults
};

// What is to be tried: way, store, whether with faults. In the order of the tables.
std::vector<Trial> trials(const Plan& plan);

// Fills the rest of `trial`. `number` names its keys and its queue. kCancelled: the user
// interrupted. trial::become_reaper() was called.
carrel::Result<void> measure(const Plan& plan, std::size_t number, Trial& trial);

// `count` files of at most 64 KiB, spread over all that are below `folder`. kNotFound:
// there are fewer.
carrel::Result<std::vector<std::string>> choose_files(const std::filesystem::path& folder,
                                                      std::size_t count);

}  // namespace s3
