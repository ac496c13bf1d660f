// The job: one file to one object, through the client that is not thread-safe.
#pragma once

#include <carrel/result.h>
#include <carrel/types.h>

#include <nlohmann/json.hpp>
#include <string>

#include "s3_client.h"

namespace s3 {

struct UploadJob {
  std::string file;
  std::string key;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(UploadJob, file, key)

// What the client says, as the typed error of a job: kTimeout, kUnavailable (a retry may
// mend it), or one that no retry can mend, which discards the job.
carrel::Error error_of(const Failure& failure);

// The object's ETag.
carrel::Result<carrel::Json> upload(const UploadJob& job);

}  // namespace s3
