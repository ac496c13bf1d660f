#include "upload.h"

namespace s3 {

carrel::Error error_of(const Failure& failure) {
  using carrel::Code;
  const auto code = [&] {
    switch (failure.what) {
      case Trouble::kTimeout:
        return Code::kTimeout;
      case Trouble::kConnection:
      case Trouble::kBusy:
        return Code::kUnavailable;
      case Trouble::kRefused:
      case Trouble::kClient:
        break;
    }
    return Code::kDiscarded;
  }();
  return {code, failure.message, "s3", static_cast<int>(failure.status)};
}

carrel::Result<carrel::Json> upload(const UploadJob& job) {
  const auto etag = put(job.key, job.file);
  if (!etag) return tl::unexpected<carrel::Error>(error_of(etag.error()));
  return carrel::Json(*etag);
}

}  // namespace s3
