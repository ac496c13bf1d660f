#include "web/standing.h"

namespace convert_web {

using carrel::Json;
using carrel::OutcomeClass;

Standing stopped() { return {"cancelled", 0, "This conversion was stopped.", {}, 0}; }

Standing ended(const carrel::Outcome& outcome, carrel::State state,
               std::int64_t timeout_s) {
  Standing out;
  switch (state) {
    case carrel::State::kCompleted:
      out = {"done", 1, "", Json::parse(outcome.result, nullptr, false), 0};
      return out;
    case carrel::State::kCancelled:
      return stopped();
    case carrel::State::kDiscarded:
      out.state = "failed";
      break;
    default:
      out.message = "It did not work this time, and is tried again.";
      return out;
  }
  switch (outcome.klass) {
    case OutcomeClass::kDiscarded:
      out.message = outcome.error.message;  // a sentence for the file's owner
      break;
    case OutcomeClass::kWallTimeout:
      out.message = "The conversion took more than " + std::to_string(timeout_s) +
                    (timeout_s == 1 ? " second" : " seconds") + " and was ended.";
      break;
    case OutcomeClass::kCrashed:
    case OutcomeClass::kProtocolError:
      out.message = "The converter itself broke over this file.";
      break;
    case OutcomeClass::kWorkerLost:
      out.message =
          "The conversion was interrupted each time that it was tried. Please send the "
          "file again.";
      break;
    case OutcomeClass::kFailed:  // run_conversion's own sentence
      out.message = "The conversion failed: " + outcome.error.message;
      break;
    default:  // what the engine says is for the operator, and in the log
      out.message =
          "The conversion could not be run here. Please send the file again later.";
  }
  return out;
}

Standing standing_of(const carrel::JobRecord& record, std::int64_t timeout_s) {
  if (is_final(record.state)) {
    carrel::Outcome outcome;
    outcome.result = record.result;
    outcome.klass = OutcomeClass::kOk;
    if (!record.attempts.empty()) {
      outcome.klass = record.attempts.back().klass;
      outcome.error.message = record.attempts.back().message;
    }
    return ended(outcome, record.state, timeout_s);
  }
  Standing standing;
  if (record.state != carrel::State::kRunning) return standing;
  standing.state = "running";
  if (record.progress) {
    standing.fraction = record.progress->fraction;
    standing.message = record.progress->message;
  }
  return standing;
}

}  // namespace convert_web
