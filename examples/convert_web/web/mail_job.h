// The job that tells the operator how a conversion ended.
#pragma once

#include <carrel/context.h>

#include <nlohmann/json.hpp>
#include <string>

#include "web/mail.h"

namespace convert_web {

struct MailJob {
  std::string token;
  std::string name;  // of the file, for people
  std::string to;    // the format
  bool done = false;
  std::string message;  // how it failed
  std::string input;    // the file itself, which a failure has attached
  std::string mail_to;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(MailJob, token, name, to, done, message, input,
                                   mail_to)

// kUnavailable: the server is away, or says “later”: tried again. kDiscarded: it refuses
// the mail for good.
carrel::Result<void> tell_operator(const MailServer& server, const MailJob& job);

}  // namespace convert_web
