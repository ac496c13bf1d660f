#include "web/pages.h"

#include <report/text.h>

#include <cmath>

#include "formats/formats.h"
#include "samples.h"

namespace convert_web {
namespace {

using carrel::Json;
using report::escape_html;
using report::grouped;

std::string page(const std::string& title, const std::string& body,
                 const std::string& head = {}) {
  return "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
         "<meta name=\"color-scheme\" content=\"light dark\">\n<title>" +
         escape_html(title) +
         "</title>\n<link rel=\"icon\" href=\"data:,\">\n"
         "<link rel=\"stylesheet\" href=\"/style.css\">\n" +
         head +
         "</head>\n<body>\n<header><a href=\"/\">Track converter</a></header>\n<main>\n" +
         body + "</main>\n</body>\n</html>\n";
}

// Not deferred: it says before the page is drawn that there is a script.
constexpr std::string_view kScript = "<script src=\"/convert.js\"></script>\n";

std::string options(const std::string& first) {
  std::string out = first;
  for (const tracks::Format& format : tracks::formats()) {
    const bool chosen = first.empty() && format.id == "nuke";
    out += "<option value=\"" + std::string(format.id) + "\"" +
           (chosen ? " selected" : "") + ">" + escape_html(format.name) + "</option>\n";
  }
  return out;
}

std::string format_name(std::string_view id) {
  const tracks::Format* format = tracks::find_format(id);
  return std::string(format == nullptr ? id : format->name);
}

std::string heading(const Standing& s) {
  if (s.state == "waiting") return "Waiting";
  if (s.state == "running") return "Converting";
  if (s.state == "done") return "Converted";
  return s.state == "failed" ? "Not converted" : "Stopped";
}

std::string notes(const Standing& s) {
  if (!s.result.is_object()) return {};
  std::string out;
  for (const Json& note : s.result.value("notes", Json::array())) {
    out += "<li>" + escape_html(note.get<std::string>()) + "</li>\n";
  }
  return out;
}

}  // namespace

std::string shown_bytes(std::size_t bytes) {
  if (bytes >= 1 << 20) return std::to_string(bytes >> 20) + " MB";
  return std::to_string(bytes >> 10) + " kB";
}

std::string summary(const Desk::Found& found) {
  const Json& r = found.standing.result;
  if (!r.is_object()) return {};
  const auto count = [&](const char* what) { return r.value(what, 0U); };
  const auto many = [&](const char* what, const std::string& one) {
    return grouped(count(what)) + " " + one + (count(what) == 1 ? "" : "s");
  };
  return many("tracks", "track") + " with " + many("points", "point") + ", frames " +
         std::to_string(r.value("first", 0)) + " to " +
         std::to_string(r.value("last", 0)) + ", picture " +
         std::to_string(r.value("width", 0)) + " × " +
         std::to_string(r.value("height", 0));
}

std::string front_page(std::size_t most_bytes) {
  std::string tries;
  for (const char* name : {"pan.boujou.txt", "pan.3de.txt", "pan.2dt", "pan.nk",
                           "pan.shake.txt", "broken_number.boujou.txt"}) {
    tries += "<li><a href=\"/samples/" + std::string(name) + "\">" + name + "</a></li>\n";
  }
  return page(
      "Track converter",
      "<h1>Convert 2-D tracks</h1>\n"
      "<p class=\"lead\">Between boujou, 3DEqualizer, PFTrack, Nuke and Shake.</p>\n"
      "<form action=\"/convert\" method=\"post\" enctype=\"multipart/form-data\">\n"
      "<div class=\"drop\">\n<input type=\"file\" name=\"file\" id=\"file\" required>\n"
      "<label for=\"file\"><strong id=\"chosen\">A file</strong> "
      "<span class=\"soft\" id=\"hint\">" +
          shown_bytes(most_bytes) +
          " at most</span></label>\n</div>\n"
          "<div class=\"pair\">\n<p><label for=\"to\">Convert to</label>\n"
          "<select name=\"to\" id=\"to\">\n" +
          options("") +
          "</select></p>\n<p><label for=\"from\">The file is</label>\n"
          "<select name=\"from\" id=\"from\">\n" +
          options("<option value=\"\">what it looks like</option>\n") +
          "</select></p>\n</div>\n"
          "<details>\n<summary>Picture size and frames</summary>\n<div class=\"three\">\n"
          "<p><label for=\"width\">Width</label>"
          "<input type=\"number\" name=\"width\" id=\"width\" min=\"1\" max=\"100000\" "
          "value=\"1920\"></p>\n"
          "<p><label for=\"height\">Height</label>"
          "<input type=\"number\" name=\"height\" id=\"height\" min=\"1\" max=\"100000\" "
          "value=\"1080\"></p>\n"
          "<p><label for=\"shift\">Add to frames</label>"
          "<input type=\"number\" name=\"shift\" id=\"shift\" min=\"-1000000\" "
          "max=\"1000000\" value=\"0\"></p>\n</div>\n"
          "<p class=\"soft\">boujou counts lines from the top, so that the height is "
          "needed "
          "where the file does not say it; a Nuke script does.</p>\n</details>\n"
          "<button type=\"submit\">Convert</button>\n</form>\n"
          "<section class=\"soft\">\n<h2>No file at hand?</h2>\n<ul class=\"files\">\n" +
          tries + "</ul>\n</section>\n",
      std::string(kScript));
}

std::string conversion_page(const std::string& token, const Desk::Found& found,
                            bool mails) {
  const Standing& s = found.standing;
  const int percent = static_cast<int>(std::lround(s.fraction * 100));
  const std::string base = "/c/" + token;
  const auto hidden = [](bool shown) { return shown ? "" : " hidden"; };
  // Without the script the page asks again by itself.
  const std::string again =
      s.is_final() ? ""
                   : "<noscript><meta http-equiv=\"refresh\" content=\"2\"></noscript>\n";
  return page(
      heading(s) + ": " + found.conversion.name,
      "<article id=\"conversion\" class=\"" + s.state + "\" data-status=\"" + base +
          "/status\" data-events=\"" + base + "/events\">\n<h1 id=\"heading\">" +
          heading(s) + "</h1>\n<p class=\"lead\"><bdi class=\"name\">" +
          escape_html(found.conversion.name) + "</bdi> to " +
          escape_html(format_name(found.conversion.to)) +
          "</p>\n<progress id=\"bar\" aria-label=\"Progress\" max=\"100\" value=\"" +
          std::to_string(percent) + "\"" + hidden(!s.is_final()) +
          "></progress>\n<p class=\"live\"><span id=\"percent\"" + hidden(!s.is_final()) +
          ">" + std::to_string(percent) + " %</span> <span id=\"message\">" +
          escape_html(s.message) +
          "</span></p>\n<p id=\"said\" class=\"unseen\" role=\"status\" "
          "aria-live=\"polite\"></p>\n<p class=\"soft\" id=\"operator\"" +
          hidden(mails && s.state == "failed") + (mails ? " data-mails" : "") +
          ">The operator is told, and gets the file.</p>\n<p id=\"summary\"" +
          hidden(s.state == "done") + ">" + escape_html(summary(found)) +
          "</p>\n<ul id=\"notes\" class=\"soft\"" + hidden(!notes(s).empty()) + ">" +
          notes(s) +
          "</ul>\n<p class=\"actions\"><a class=\"button\" id=\"download\" href=\"" +
          base + "/result\"" + hidden(s.state == "done") +
          ">Download</a>\n<a id=\"more\" "
          "href=\"/\"" +
          hidden(s.is_final()) +
          ">Convert another file</a></p>\n"
          "<form id=\"stop\" action=\"" +
          base + "/cancel\" method=\"post\"" + hidden(!s.is_final()) +
          "><button type=\"submit\" class=\"quiet\">Stop</button>"
          "</form>\n</article>\n",
      again + std::string(kScript));
}

std::string problem_page(const std::string& sentence) {
  return page("That did not work",
              "<h1>That did not work</h1>\n<p class=\"lead\">" + escape_html(sentence) +
                  "</p>\n<p class=\"actions\"><a class=\"button\" href=\"/\">Back to the "
                  "start</a></p>\n");
}

}  // namespace convert_web
