#include "web/answers.h"

#include <trial/scratch.h>

#include <charconv>
#include <cmath>
#include <cstdio>

#include "formats/formats.h"
#include "samples.h"
#include "web/multipart.h"
#include "web/pages.h"

namespace convert_web {
namespace {

using carrel::Json;

std::string_view type_of(std::string_view name) {
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  return "text/plain; charset=utf-8";
}

// Names in ASCII as they are, others as RFC 8187 has it.
std::string attachment(const std::string& name) {
  std::string ascii, encoded;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = std::isalnum(byte) != 0 || c == '.' || c == '-' || c == '_';
    ascii += byte < 0x80 && byte >= 0x20 && c != '"' && c != '\\' ? c : '_';
    if (plain) {
      encoded += c;
    } else {
      constexpr char kHex[] = "0123456789ABCDEF";
      encoded += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return "attachment; filename=\"" + ascii + "\"; filename*=UTF-8''" + encoded;
}

// "pan.boujou.txt" to nuke: "pan.boujou.nk".
std::string result_name(const Conversion& conversion) {
  const std::size_t dot = conversion.name.rfind('.');
  const std::string stem = dot == std::string::npos || dot == 0
                               ? conversion.name
                               : conversion.name.substr(0, dot);
  const tracks::Format* to = tracks::find_format(conversion.to);
  if (to == nullptr) return stem;
  const std::string kind = to->extension == ".txt" ? "." + std::string(to->id) : "";
  return stem + kind + std::string(to->extension);
}

// A whole number of a form's field, within bounds.
bool read_number(const std::vector<Part>& parts, std::string_view name, int least,
                 int most, int& value) {
  const Part* part = find_part(parts, name);
  if (part == nullptr || part->content.empty()) return true;  // as it was
  const char* end = part->content.data() + part->content.size();
  const auto [stop, error] = std::from_chars(part->content.data(), end, value);
  return error == std::errc() && stop == end && value >= least && value <= most;
}

Answer see_other(const std::string& path) {
  Answer out{303, "text/plain; charset=utf-8", "", {{"Location", path}}, {}};
  return out;
}

}  // namespace

std::string status_json(const std::string& token, const Desk::Found& found) {
  const Standing& s = found.standing;
  Json j = {{"state", s.state},
            {"percent", static_cast<int>(std::lround(s.fraction * 100))},
            {"message", s.message},
            {"version", s.version}};
  if (s.state == "done") {
    j["download"] = "/c/" + token + "/result";
    j["summary"] = summary(found);
    j["notes"] =
        s.result.is_object() ? s.result.value("notes", Json::array()) : Json::array();
  }
  return j.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Answer Site::problem(unsigned status, const std::string& sentence) const {
  return {status, "text/html; charset=utf-8", problem_page(sentence), {}, {}};
}

Answer Site::not_allowed(const char* methods, const std::string& sentence) const {
  Answer out = problem(405, sentence);
  out.headers.emplace_back("Allow", methods);
  return out;
}

Answer Site::too_large() const {
  return problem(413, "This file is too large: a file may have " +
                          shown_bytes(most_bytes_) + " at most.");
}

std::string Site::forbidden(const Asked& asked) const {
  if (!hosts_.know(asked.host)) {
    return "This site is not known by the name “" + asked.host +
           "”. Whoever runs it can add the name: --name " + asked.host;
  }
  if (asked.method == "GET" || asked.method == "HEAD") return {};
  const bool other_origin = !asked.origin.empty() &&
                            asked.origin != "http://" + asked.host &&
                            asked.origin != "https://" + asked.host;  // behind a proxy
  const bool other_site = !asked.fetch_site.empty() &&
                          asked.fetch_site != "same-origin" && asked.fetch_site != "none";
  if (other_origin || other_site) return "This form was not sent from this site.";
  return {};
}

Answer Site::answer(const Asked& asked) {
  try {
    return route(asked);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "convert_web: %s %s: %s\n", asked.method.c_str(),
                 asked.target.c_str(), e.what());
    return problem(500, "Something went wrong here. Please try again.");
  }
}

Answer Site::route(const Asked& asked) {
  if (const std::string why = forbidden(asked); !why.empty()) return problem(403, why);
  const std::string path = asked.target.substr(0, asked.target.find('?'));
  const bool get = asked.method == "GET" || asked.method == "HEAD";
  if (path == "/convert") {
    if (asked.method == "POST") return convert(asked);
    return not_allowed("POST", "Here one can only send a form.");
  }
  if (path.starts_with("/c/")) {
    const std::size_t slash = path.find('/', 3);
    const std::string token = path.substr(3, slash - 3);
    const std::string what = slash == std::string::npos ? "" : path.substr(slash + 1);
    return conversion(token, what, asked);
  }
  if (!get) return not_allowed("GET, HEAD", "Here one can only look.");
  if (path == "/") {
    return {200, "text/html; charset=utf-8", front_page(most_bytes_), {}, {}};
  }
  for (const Embedded& file : web_files()) {
    if (path == "/" + std::string(file.name)) {
      return {200, std::string(type_of(file.name)), std::string(file.text), {}, {}};
    }
  }
  if (path.starts_with("/samples/")) {
    if (const auto text = sample(path.substr(9))) {
      return {200,
              "text/plain; charset=utf-8",
              std::string(*text),
              {{"Content-Disposition", attachment(path.substr(9))}},
              {}};
    }
  }
  return problem(404, "There is nothing here.");
}

Answer Site::convert(const Asked& asked) {
  const auto parts = parse_multipart(asked.content_type, asked.body);
  if (!parts) return problem(400, parts.error());
  const Part* file = find_part(*parts, "file");
  if (file == nullptr || !file->filename || file->filename->empty()) {
    return problem(400, "Please choose a file first.");
  }
  if (file->content.size() > most_bytes_) {
    return too_large();
  }
  Conversion conversion;
  conversion.name = display_name(*file->filename);
  const Part* from = find_part(*parts, "from");
  const Part* to = find_part(*parts, "to");
  conversion.from = from == nullptr ? "" : std::string(from->content);
  conversion.to = to == nullptr ? "" : std::string(to->content);
  if ((!conversion.from.empty() && tracks::find_format(conversion.from) == nullptr) ||
      tracks::find_format(conversion.to) == nullptr) {
    return problem(400, "There is no such format.");
  }
  if (!read_number(*parts, "width", 1, 100'000, conversion.width) ||
      !read_number(*parts, "height", 1, 100'000, conversion.height)) {
    return problem(400, "Width and height should be whole numbers from 1 to 100000.");
  }
  if (!read_number(*parts, "shift", -1'000'000, 1'000'000, conversion.shift)) {
    return problem(400, "The shift should be a whole number of frames.");
  }
  const auto token = desk_.add(std::move(conversion), file->content);
  if (!token) return problem(503, token.error().message);
  return see_other("/c/" + *token);
}

Answer Site::conversion(const std::string& token, std::string_view what,
                        const Asked& asked) {
  const auto found = desk_.find(token);
  if (!found) return problem(404, "There is no such conversion; it may be too old.");
  if (asked.method == "POST") {
    if (what != "cancel") return not_allowed("GET, HEAD", "Here one can only look.");
    desk_.cancel(token);
    return see_other("/c/" + token);
  }
  if (what.empty()) {
    return {
        200, "text/html; charset=utf-8", conversion_page(token, *found, mails_), {}, {}};
  }
  if (what == "status") {
    return {200, "application/json", status_json(token, *found), {}, {}};
  }
  if (what == "events") return {200, "text/event-stream", "", {}, token};
  if (what == "result" && found->standing.state == "done") {
    return {200,
            "application/octet-stream",
            trial::content_of(desk_.output(token)),
            {{"Content-Disposition", attachment(result_name(found->conversion))}},
            {}};
  }
  return problem(404, "There is nothing here, or not yet.");
}

}  // namespace convert_web
