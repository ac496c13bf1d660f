// Charts of figures that are missing, zero or out of order still end, and can be read;
// tables.
#include <gmock/gmock.h>
#include <report/chart.h>
#include <report/svg.h>
#include <report/table.h>

namespace report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(Scale, ALogarithmicOneOfNothingIsADecade) {
  EXPECT_THAT(Scale::logarithmic(0, 0, 0, 100).ticks(), ElementsAre(0.1, 0.2, 0.5, 1));
  EXPECT_THAT(Scale::logarithmic(0, 50, 0, 100).ticks(), ElementsAre(5, 10, 20, 50));
  EXPECT_THAT(Scale::logarithmic(-1, -1, 0, 100).ticks(), ElementsAre(0.1, 0.2, 0.5, 1));
  const Scale scale = Scale::logarithmic(0, 50, 0, 100);
  EXPECT_EQ(scale.at(0), 0);
  EXPECT_EQ(scale.at(50), 100);
}

TEST(Scale, ALogarithmicOneEnclosesWhatWasMeasured) {
  EXPECT_THAT(Scale::logarithmic(3, 40, 0, 100).ticks(), ElementsAre(2, 5, 10, 20, 50));
  EXPECT_THAT(Scale::logarithmic(1, 1, 0, 100).ticks(), ElementsAre(1, 2));
}

TEST(Chart, OfNoFiguresIsAnEmptyFrame) {
  Frame frame{"Latency", "jobs at once", "ms", {"1", "4"}};
  for (const bool log : {false, true}) {
    frame.y_log = log;
    for (const std::string& chart :
         {line_chart(frame, {{"thread", 0, false, {}}}),
          range_chart(frame, {{"thread", 0, {}, {}}}), range_chart(frame, {})}) {
      EXPECT_THAT(chart, HasSubstr("</svg>"));
      EXPECT_THAT(chart, Not(HasSubstr("nan")));
      EXPECT_THAT(chart, Not(HasSubstr("inf")));
    }
  }
}

TEST(Table, APartWithoutATitleHasNoRowForIt) {
  Table table{{{"way"}}, {{"", {{{{"fork"}}}}}}};
  EXPECT_THAT(html(table, "all"), Not(HasSubstr("class=\"section\"")));
  table.sections[0].title = "with faults";
  EXPECT_THAT(html(table, "all"), HasSubstr("class=\"section\""));
}

}  // namespace
}  // namespace report
