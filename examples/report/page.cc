#include "report/page.h"

#include "report/chart.h"
#include "report/page_style.h"
#include "report/svg.h"
#include "report/text.h"

namespace report {

Page::Page(std::string title, std::string lead)
    : title_(std::move(title)), lead_(std::move(lead)) {}

void Page::heading(const std::string& text) {
  body_ += "<h2>" + escape_html(text) + "</h2>\n";
}

void Page::paragraph(const std::string& text) {
  body_ += "<p>" + escape_html(text) + "</p>\n";
}

void Page::verdict(bool good, const std::string& text) {
  body_ += std::string("<p class=\"verdict ") + (good ? "good" : "bad") +
           "\"><span aria-hidden=\"true\">" + (good ? "✓" : "✗") + "</span> " +
           escape_html(text) + "</p>\n";
}

void Page::cards(const std::vector<Card>& cards) {
  body_ += "<ul class=\"cards\">\n";
  for (const Card& card : cards) {
    body_ += "<li class=\"" + series_class(card.style) + "\"><h3>" +
             legend_mark(card.style) + " " + escape_html(card.name) +
             "</h3><p class=\"figure" + (card.bad ? " bad" : "") + "\">" +
             escape_html(card.figure) + "</p><p>" + escape_html(card.below) +
             "</p></li>\n";
  }
  body_ += "</ul>\n";
}

void Page::legend(const std::vector<std::pair<std::size_t, std::string>>& series) {
  body_ += "<ul class=\"legend\">";
  for (const auto& [style, name] : series) {
    body_ += "<li data-series=\"" + series_class(style) + "\">" + legend_mark(style) +
             " " + escape_html(name) + "</li>";
  }
  body_ += "</ul>\n";
}

void Page::figures(const std::vector<Figure>& figures) {
  body_ += "<div class=\"figures\">\n";
  for (const Figure& figure : figures) {
    body_ += "<figure><figcaption>" + escape_html(figure.caption) + "</figcaption>\n" +
             figure.svg + "</figure>\n";
  }
  body_ += "</div>\n";
}

void Page::table(const std::string& table_html, const std::string& label) {
  body_ += "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"" +
           escape_html(label) + "\">\n" + table_html + "</div>\n";
}

void Page::definitions(const std::vector<std::pair<std::string, std::string>>& pairs) {
  body_ += "<dl>\n";
  for (const auto& [name, text] : pairs) {
    body_ += "<div><dt>" + escape_html(name) + "</dt><dd>" + escape_html(text) +
             "</dd></div>\n";
  }
  body_ += "</dl>\n";
}

void Page::code(const std::string& text) {
  body_ += "<pre tabindex=\"0\"><code>" + escape_html(text) + "</code></pre>\n";
}

void Page::was_quick() { paragraph("This was a quick run: its speeds say little."); }

std::string Page::html() const {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n<title>";
  out += escape_html(title_);
  out += "</title>\n<style>\n";
  out += page_style();
  out += "</style>\n</head>\n<body>\n<header><h1>";
  out += escape_html(title_);
  out += "</h1>\n<p class=\"lead\">";
  out += escape_html(lead_);
  out += "</p></header>\n<main>\n";
  out += body_;
  out += "</main>\n<script>\n";
  out += page_script();
  out += "</script>\n</body>\n</html>\n";
  return out;
}

}  // namespace report
