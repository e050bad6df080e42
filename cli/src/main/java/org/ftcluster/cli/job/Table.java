package org.ftcluster.cli.job;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Columns of text under a heading. */
final class Table {
  private Table() {}

  /** Lines without the last line's end; every row has as many cells as {@code heading}. */
  static String format(List<String> heading, List<List<String>> rows) {
    List<Integer> widths =
        IntStream.range(0, heading.size())
            .map(
                column ->
                    rows.stream()
                        .mapToInt(row -> row.get(column).length())
                        .reduce(heading.get(column).length(), Math::max))
            .boxed()
            .toList();
    StringBuilder text = new StringBuilder(line(heading, widths));
    for (List<String> row : rows) {
      text.append('\n').append(line(row, widths));
    }
    return text.toString();
  }

  private static String line(List<String> cells, List<Integer> widths) {
    return IntStream.range(0, cells.size())
        .mapToObj(column -> ("%-" + widths.get(column) + "s").formatted(cells.get(column)))
        .collect(Collectors.joining("  "))
        .stripTrailing();
  }
}
