// What every page looks like, and the little that moves in it.
#pragma once

#include <string_view>

namespace report {

// Colours of the series keep at least 3:1 to the background in both themes and stay apart
// for readers with any of the common colour blindnesses.
std::string_view page_style();
// The theme button and the legend's buttons; the page is whole without it.
std::string_view page_script();

}  // namespace report
