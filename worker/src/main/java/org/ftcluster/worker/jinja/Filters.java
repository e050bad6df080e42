package org.ftcluster.worker.jinja;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** What may follow {@code |}. */
final class Filters {
  @FunctionalInterface
  private interface Filter {
    @Nullable Object apply(@Nullable Object value, Arguments arguments);
  }

  private static final Map<String, Filter> FILTERS =
      Map.ofEntries(
          Map.entry("length", (value, given) -> (long) Values.length(value)),
          Map.entry("count", (value, given) -> (long) Values.length(value)),
          Map.entry(
              "trim",
              (value, given) ->
                  Strings.strip(Values.text(value), given.textOrNull(0, "chars"), true, true)),
          Map.entry("upper", (value, given) -> Strings.upper(Values.text(value))),
          Map.entry("lower", (value, given) -> Strings.lower(Values.text(value))),
          Map.entry("title", (value, given) -> Strings.titleWords(Values.text(value))),
          Map.entry("capitalize", (value, given) -> Strings.capitalize(Values.text(value))),
          Map.entry("string", (value, given) -> Values.text(value)),
          Map.entry("safe", (value, given) -> Values.text(value)),
          Map.entry("default", Filters::orDefault),
          Map.entry("d", Filters::orDefault),
          Map.entry("first", (value, given) -> end(value, 0)),
          Map.entry("last", (value, given) -> end(value, -1)),
          Map.entry("list", (value, given) -> Values.items(value)),
          Map.entry("join", Filters::join),
          Map.entry("replace", Filters::replace),
          Map.entry("tojson", Json::filter),
          Map.entry("items", Filters::items),
          Map.entry("dictsort", (value, given) -> sortedPairs(value, given)),
          Map.entry("sort", Filters::sort),
          Map.entry("unique", (value, given) -> unique(value)),
          Map.entry("reverse", Filters::reverse),
          Map.entry("map", Filters::map),
          Map.entry("select", (value, given) -> chosen(value, selects(given))),
          Map.entry("reject", (value, given) -> chosen(value, selects(given).negate())),
          Map.entry("selectattr", (value, given) -> chosen(value, selectsAttribute(given))),
          Map.entry(
              "rejectattr", (value, given) -> chosen(value, selectsAttribute(given).negate())),
          Map.entry("int", Filters::whole),
          Map.entry("float", Filters::real),
          Map.entry("abs", (value, given) -> Operators.absolute(value)),
          Map.entry("round", Filters::round),
          Map.entry("sum", Filters::sum),
          Map.entry("min", (value, given) -> extreme(value, Values::compare)),
          Map.entry("max", (value, given) -> extreme(value, (a, b) -> Values.compare(b, a))),
          Map.entry("indent", Filters::indent));

  private Filters() {}

  /** Refuses a filter that isn't there. */
  static void require(String name, int line) {
    if (!FILTERS.containsKey(name)) {
      throw new TemplateException("there is no filter '%s'".formatted(name)).at(line);
    }
  }

  static @Nullable Object apply(String name, @Nullable Object value, Arguments arguments) {
    Filter filter = FILTERS.get(name);
    if (filter == null) { // of map's arguments, which are known only now
      throw new TemplateException("there is no filter '%s'".formatted(name));
    }
    return filter.apply(value, arguments);
  }

  private static @Nullable Object orDefault(@Nullable Object value, Arguments given) {
    boolean falseToo = given.truth(1, "boolean", false);
    return value instanceof Undefined || (falseToo && !Values.truth(value))
        ? given.get(0, "default_value", "")
        : value;
  }

  private static @Nullable Object end(@Nullable Object value, int index) {
    List<@Nullable Object> items = Values.items(value);
    if (items.isEmpty()) {
      return new Undefined(index == 0 ? "first" : "last");
    }
    return index == 0 ? items.getFirst() : items.getLast();
  }

  private static String join(@Nullable Object value, Arguments given) {
    Object attribute = given.get(1, "attribute", null);
    return Values.items(value).stream()
        .map(item -> attribute == null ? item : attribute(item, attribute))
        .map(Values::text)
        .collect(Collectors.joining(Values.text(given.get(0, "d", ""))));
  }

  private static String replace(@Nullable Object value, Arguments given) {
    int most = given.get(2, "count", null) == null ? -1 : given.whole(2, "count", -1);
    return Strings.replace(
        Values.text(value),
        Values.text(given.require(0, "old")),
        Values.text(given.require(1, "new")),
        most);
  }

  private static @Nullable Object items(@Nullable Object value, Arguments given) {
    return value instanceof Undefined ? List.of() : Methods.pairs(Values.requireMap(value));
  }

  private static List<@Nullable Object> sortedPairs(@Nullable Object value, Arguments given) {
    boolean exactCase = given.truth(0, "case_sensitive", false);
    int by = "value".equals(given.get(1, "by", "key")) ? 1 : 0;
    List<@Nullable Object> pairs = Methods.pairs(Values.requireMap(value));
    return sorted(
        pairs,
        pair -> folded(((List<?>) pair).get(by), exactCase),
        given.truth(2, "reverse", false));
  }

  private static List<@Nullable Object> sort(@Nullable Object value, Arguments given) {
    boolean exactCase = given.truth(1, "case_sensitive", false);
    Object attribute = given.get(2, "attribute", null);
    return sorted(
        Values.items(value),
        item -> folded(attribute == null ? item : attribute(item, attribute), exactCase),
        given.truth(0, "reverse", false));
  }

  private interface Key {
    @Nullable Object of(@Nullable Object item);
  }

  private static List<@Nullable Object> sorted(
      List<@Nullable Object> items, Key key, boolean reverse) {
    Comparator<@Nullable Object> order = (a, b) -> Values.compare(key.of(a), key.of(b));
    items.sort(reverse ? order.reversed() : order);
    return items;
  }

  private static @Nullable Object folded(@Nullable Object value, boolean exactCase) {
    return value instanceof String text && !exactCase ? Strings.lower(text) : value;
  }

  private static List<@Nullable Object> unique(@Nullable Object value) {
    List<@Nullable Object> unique = new ArrayList<>();
    List<@Nullable Object> seen = new ArrayList<>();
    for (Object item : Values.items(value)) {
      Object key = folded(item, false);
      if (!Values.contains(seen, key)) {
        seen.add(key);
        unique.add(item);
      }
    }
    return unique;
  }

  private static @Nullable Object reverse(@Nullable Object value, Arguments given) {
    if (value instanceof String text) {
      return new StringBuilder(text).reverse().toString();
    }
    List<@Nullable Object> items = Values.items(value);
    Collections.reverse(items);
    return items;
  }

  private static List<@Nullable Object> map(@Nullable Object value, Arguments given) {
    List<@Nullable Object> mapped = new ArrayList<>();
    Object attribute = given.get(Integer.MAX_VALUE, "attribute", null);
    for (Object item : Values.items(value)) {
      if (attribute == null) {
        mapped.add(apply(given.text(0, "filter"), item, given.rest()));
      } else {
        Object found = attribute(item, attribute);
        mapped.add(
            found instanceof Undefined ? given.get(Integer.MAX_VALUE, "default", found) : found);
      }
    }
    return mapped;
  }

  private static List<@Nullable Object> chosen(
      @Nullable Object value, Predicate<@Nullable Object> chooses) {
    return Values.items(value).stream().filter(chooses).collect(Collectors.toList());
  }

  private static Predicate<@Nullable Object> selects(Arguments given) {
    return given.positional().isEmpty()
        ? Values::truth
        : item -> Tests.holds(given.text(0, "test"), item, given.rest());
  }

  private static Predicate<@Nullable Object> selectsAttribute(Arguments given) {
    Object attribute = given.require(0, "attribute");
    Predicate<@Nullable Object> selects = selects(given.rest());
    return item -> selects.test(attribute(item, attribute));
  }

  /** By name, where dots lead further down, or by number. */
  private static @Nullable Object attribute(@Nullable Object item, @Nullable Object path) {
    if (!(path instanceof String names)) {
      return Operators.item(item, path);
    }
    Object found = item;
    for (String name : names.split("\\.", -1)) {
      found = Operators.item(found, name.matches("\\d+") ? (Object) Long.valueOf(name) : name);
    }
    return found;
  }

  private static @Nullable Object whole(@Nullable Object value, Arguments given) {
    try {
      return switch (value) {
        case Double number -> Values.whole(new BigDecimal(number).toBigInteger());
        case String text -> Values.whole(new BigInteger(text.strip()));
        case null, default -> Values.whole(Values.toWhole(value));
      };
    } catch (NumberFormatException | TemplateException e) {
      return given.get(0, "default", 0L);
    }
  }

  private static @Nullable Object real(@Nullable Object value, Arguments given) {
    try {
      return value instanceof String text
          ? Double.parseDouble(text.strip())
          : Values.toDouble(value);
    } catch (NumberFormatException | TemplateException e) {
      return given.get(0, "default", 0.0);
    }
  }

  private static double round(@Nullable Object value, Arguments given) {
    RoundingMode mode =
        switch (Values.text(given.get(1, "method", "common"))) {
          case "ceil" -> RoundingMode.CEILING;
          case "floor" -> RoundingMode.FLOOR;
          default -> RoundingMode.HALF_EVEN;
        };
    return new BigDecimal(Values.toDouble(value))
        .setScale(given.whole(0, "precision", 0), mode)
        .doubleValue();
  }

  private static @Nullable Object sum(@Nullable Object value, Arguments given) {
    Object attribute = given.get(0, "attribute", null);
    Object sum = given.get(1, "start", 0L);
    for (Object item : Values.items(value)) {
      sum = Operators.binary("+", sum, attribute == null ? item : attribute(item, attribute));
    }
    return sum;
  }

  private static @Nullable Object extreme(
      @Nullable Object value, Comparator<@Nullable Object> order) {
    List<@Nullable Object> items = Values.items(value);
    if (items.isEmpty()) {
      return new Undefined("min or max of nothing");
    }
    Object best = items.getFirst();
    for (Object item : items) {
      best = order.compare(item, best) < 0 ? item : best;
    }
    return best;
  }

  private static String indent(@Nullable Object value, Arguments given) {
    Object width = given.get(0, "width", 4L);
    String space = width instanceof String text ? text : " ".repeat(Values.index(width));
    boolean first = given.truth(1, "first", false);
    boolean blank = given.truth(2, "blank", false);
    StringBuilder indented = new StringBuilder();
    String[] lines = Values.text(value).split("\n", -1);
    for (int i = 0; i < lines.length; i++) {
      boolean moved = i == 0 ? first : blank || !lines[i].isEmpty();
      indented.append(i == 0 ? "" : "\n").append(moved ? space : "").append(lines[i]);
    }
    return indented.toString();
  }
}
