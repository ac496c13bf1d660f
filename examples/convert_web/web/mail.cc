#include "web/mail.h"

#include <curl/curl.h>

#include <algorithm>
#include <ctime>
#include <memory>

namespace convert_web {
namespace {

using carrel::Code;
using carrel::fail;

constexpr long kPatienceMs = 30'000;

std::string base64(std::string_view bytes) {
  constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    unsigned word = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      word = word << 8 |
             (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += i + k > bytes.size() ? '=' : kDigits[word >> (18 - 6 * k) & 63];
    }
  }
  return out;
}

std::string date_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[64];
  // Not strftime's names of days, which a locale may change.
  constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::snprintf(text, sizeof text, "%s, %02d %s %d %02d:%02d:%02d +0000",
                kDays[utc.tm_wday], utc.tm_mday, kMonths[utc.tm_mon], utc.tm_year + 1900,
                utc.tm_hour, utc.tm_min, utc.tm_sec);
  return text;
}

struct Lists {
  curl_slist* headers = nullptr;
  curl_slist* to = nullptr;
  curl_mime* mime = nullptr;
  ~Lists() {
    ::curl_slist_free_all(headers);
    ::curl_slist_free_all(to);
    ::curl_mime_free(mime);
  }
  void header(const std::string& line) {
    headers = ::curl_slist_append(headers, line.c_str());
  }
};

void add_parts(CURL* curl, const Mail& mail, Lists& lists) {
  lists.mime = ::curl_mime_init(curl);
  curl_mimepart* text = ::curl_mime_addpart(lists.mime);
  const std::string lines = with_crlf(mail.text);
  ::curl_mime_data(text, lines.data(), lines.size());  // copies
  ::curl_mime_type(text, "text/plain; charset=utf-8");
  ::curl_mime_encoder(text, "quoted-printable");
  if (mail.attachment.empty()) return;
  curl_mimepart* file = ::curl_mime_addpart(lists.mime);
  ::curl_mime_filedata(file, mail.attachment.c_str());
  ::curl_mime_type(file, "application/octet-stream");
  ::curl_mime_encoder(file, "base64");
  ::curl_mime_filename(file, encoded_header(mail.attachment_name).c_str());
}

carrel::Error error_of(CURL* curl, CURLcode code, const char* detail) {
  long answered = 0;
  ::curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answered);
  const std::string message =
      "the mail was not sent: " +
      std::string(*detail != '\0' ? detail : ::curl_easy_strerror(code)) +
      (answered > 0 ? " (" + std::to_string(answered) + ")" : "");
  // 5xx is for good; so is what libcurl itself finds wrong with the mail.
  const bool for_good = answered / 100 == 5 || code == CURLE_READ_ERROR ||
                        code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL;
  return {for_good ? Code::kDiscarded : Code::kUnavailable, message, "smtp",
          static_cast<int>(answered)};
}

}  // namespace

std::string with_crlf(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n' && !out.ends_with('\r')) out += '\r';
    out += c;
  }
  return out;
}

std::string encoded_header(const std::string& utf8) {
  std::string clean = utf8;
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  const auto ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::all_of(clean.begin(), clean.end(), ascii)) return clean;
  // Words of at most 75 characters, no character of UTF-8 cut in two.
  std::string out;
  for (std::size_t at = 0; at < clean.size();) {
    std::size_t end = std::min(at + 42, clean.size());
    while (end < clean.size() && end > at + 1 &&
           (static_cast<unsigned char>(clean[end]) & 0xc0) == 0x80) {
      --end;
    }
    out += (out.empty() ? "=?utf-8?B?" : " =?utf-8?B?") +
           base64(std::string_view(clean).substr(at, end - at)) + "?=";
    at = end;
  }
  return out;
}

carrel::Result<void> send(const MailServer& server, const Mail& mail) {
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(::curl_easy_init(),
                                                    ::curl_easy_cleanup);
  if (!curl) return fail(Code::kUnavailable, "libcurl cannot start");
  Lists lists;
  lists.to = ::curl_slist_append(nullptr, ("<" + mail.to + ">").c_str());
  lists.header("Date: " + date_now());
  lists.header("From: <" + server.from + ">");
  lists.header("To: <" + mail.to + ">");
  lists.header("Message-ID: <" + mail.id + "@convert-web.localhost>");
  lists.header("Subject: " + encoded_header(mail.subject));
  lists.header("Auto-Submitted: auto-generated");
  add_parts(curl.get(), mail, lists);

  char detail[CURL_ERROR_SIZE] = "";
  ::curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, detail);
  ::curl_easy_setopt(curl.get(), CURLOPT_URL, server.url.c_str());
  ::curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "smtp,smtps");
  ::curl_easy_setopt(curl.get(), CURLOPT_MAIL_FROM, ("<" + server.from + ">").c_str());
  ::curl_easy_setopt(curl.get(), CURLOPT_MAIL_RCPT, lists.to);
  ::curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, lists.headers);
  ::curl_easy_setopt(curl.get(), CURLOPT_MIMEPOST, lists.mime);
  ::curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, kPatienceMs);
  ::curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  ::curl_easy_setopt(curl.get(), CURLOPT_PROXY, "");  // none for mail, whatever is set
  const CURLcode code = ::curl_easy_perform(curl.get());
  if (code != CURLE_OK) {
    return tl::unexpected<carrel::Error>(error_of(curl.get(), code, detail));
  }
  return {};
}

}  // namespace convert_web
