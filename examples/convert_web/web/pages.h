// The pages, as HTML. Everything that came from outside is escaped here.
#pragma once

#include <string>

#include "web/desk.h"

namespace convert_web {

std::string front_page(std::size_t most_bytes);
// `mails`: the operator is told of failures.
std::string conversion_page(const std::string& token, const Desk::Found& found,
                            bool mails);
std::string problem_page(const std::string& sentence);

// "4 tracks with 62 points, frames 1 to 24, 1920 × 1080".
std::string summary(const Desk::Found& found);
std::string shown_bytes(std::size_t bytes);  // "32 MB"

}  // namespace convert_web
