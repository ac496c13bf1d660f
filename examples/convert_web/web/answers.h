// What the site answers to a request: routes, pages and the rules of who may ask.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "web/desk.h"
#include "web/hosts.h"

namespace convert_web {

struct Asked {
  std::string method;
  std::string target;  // path and query, as it came
  std::string host, origin, fetch_site, content_type;
  std::string_view body;
};

struct Answer {
  unsigned status = 200;
  std::string type = "text/html; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string events_of;  // a token: the connection goes on as its Server-Sent Events
};

// Threads: any.
class Site {
 public:
  Site(Desk& desk, Hosts hosts, bool mails, std::size_t most_bytes)
      : desk_(desk), hosts_(std::move(hosts)), mails_(mails), most_bytes_(most_bytes) {}

  // Never throws: what goes wrong inside is a 500, and a line on stderr.
  Answer answer(const Asked& asked);
  // A page with one sentence.
  Answer problem(unsigned status, const std::string& sentence) const;
  Answer too_large() const;
  std::size_t most_bytes() const { return most_bytes_; }
  Desk& desk() { return desk_; }

 private:
  // Empty: it may; else the sentence why not. A form of another site has its Origin.
  std::string forbidden(const Asked& asked) const;
  Answer route(const Asked& asked);
  Answer not_allowed(const char* methods, const std::string& sentence) const;
  Answer convert(const Asked& asked);
  Answer conversion(const std::string& token, std::string_view what, const Asked& asked);

  Desk& desk_;
  const Hosts hosts_;
  const bool mails_;
  const std::size_t most_bytes_;
};

// What the script polls, and each event's data: {"state", "percent", "message", …}.
std::string status_json(const std::string& token, const Desk::Found& found);

}  // namespace convert_web
