// Mail by SMTP, with libcurl: one message, MIME, perhaps with a file attached.
#pragma once

#include <carrel/result.h>

#include <string>
#include <string_view>

namespace convert_web {

struct MailServer {
  std::string url;  // smtp://host:port
  std::string from = "convert-web@localhost";
};

struct Mail {
  std::string to;
  std::string id;               // of the message, unique; letters and digits
  std::string subject;          // UTF-8
  std::string text;             // UTF-8
  std::string attachment;       // path of a file; empty: none
  std::string attachment_name;  // as the reader sees it
};

// Blocks for half a minute at most. kUnavailable: a retry may mend it; kDiscarded: none
// will. curl_global_init() was called.
carrel::Result<void> send(const MailServer& server, const Mail& mail);

// Each line of it ends as mails have it, with CR and LF.
std::string with_crlf(std::string_view text);

// A header's value in ASCII: RFC 2047 where it is not; no line ends in any case.
std::string encoded_header(const std::string& utf8);

}  // namespace convert_web
