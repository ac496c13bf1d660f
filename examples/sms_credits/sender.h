// The client of the gateway.
#pragma once

#include <carrel/result.h>

#include <string>

namespace sms {

// Blocks until the gateway has taken the message. `key`: the gateway sends what comes
// with one key once; empty: each time. Any thread, any child. kUnavailable: it did not,
// as far as is known here.
carrel::Result<void> send_sms(const std::string& gateway, const std::string& to,
                              const std::string& key = {});

}  // namespace sms
