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
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** What may follow {@code |}. */
final class Filters {
  @FunctionalInterface
  private interface Filter {
    @Nullable Object apply(@Nullable Object value, Arguments arguments);
  }

  private static final Pattern WHOLE = Pattern.compile("[+-]?[0-9]+(_[0-9]+)*");

  private static final Pattern REAL =
      Pattern.compile(
          "[+-]?([0-9]+(_[0-9]+)*\\.?([0-9]+(_[0-9]+)*)?|\\.[0-9]+(_[0-9]+)*)([eE][+-]?[0-9]+)?");

  private static final Map<String, Filter> FILTERS =
      Map.ofEntries(
          filter("length", (value, given) -> (long) Values.length(value)),
          filter("count", (value, given) -> (long) Values.length(value)),
          filter(
              "trim",
              (value, given) ->
                  Strings.strip(Values.text(value), given.textOrNull(0, "chars"), true, true),
              "chars"),
          filter("upper", (value, given) -> Strings.upper(Values.text(value))),
          filter("lower", (value, given) -> Strings.lower(Values.text(value))),
          filter("title", (value, given) -> Strings.titleWords(Values.text(value))),
          filter("capitalize", (value, given) -> Strings.capitalize(Values.text(value))),
          filter("string", (value, given) -> value instanceof Safe ? value : Values.text(value)),
          filter("safe", (value, given) -> new Safe(Values.text(value))),
          filter("default", Filters::orDefault, "default_value", "boolean"),
          filter("d", Filters::orDefault, "default_value", "boolean"),
          filter("first", (value, given) -> end(value, 0)),
          filter("last", (value, given) -> end(value, -1)),
          filter("list", (value, given) -> Values.items(value)),
          filter("join", Filters::join, "d", "attribute"),
          filter("replace", Filters::replace, "old", "new", "count"),
          filter("tojson", Json::filter, "ensure_ascii", "indent", "separators", "sort_keys"),
          filter("items", Filters::items),
          filter("dictsort", Filters::sortedPairs, "case_sensitive", "by", "reverse"),
          filter("sort", Filters::sort, "reverse", "case_sensitive", "attribute"),
          filter("unique", Filters::unique, "case_sensitive", "attribute"),
          filter("reverse", Filters::reverse),
          filter("sum", Filters::sum, "attribute", "start"),
          filter("min", (value, given) -> extreme(value, given, 1), "case_sensitive", "attribute"),
          filter("max", (value, given) -> extreme(value, given, -1), "case_sensitive", "attribute"),
          filter("int", Filters::whole, "default", "base"),
          filter("float", Filters::real, "default"),
          filter("abs", (value, given) -> Operators.absolute(value)),
          filter("round", Filters::round, "precision", "method"),
          filter("indent", Filters::indent, "width", "first", "blank"),
          // These hand arguments on to filters and tests.
          Map.entry("map", Filters::map),
          Map.entry("select", (value, given) -> chosen(value, selects(given))),
          Map.entry("reject", (value, given) -> chosen(value, selects(given).negate())),
          Map.entry("selectattr", (value, given) -> chosen(value, selectsAttribute(given))),
          Map.entry(
              "rejectattr", (value, given) -> chosen(value, selectsAttribute(given).negate())));

  /** A filter that takes these arguments and no others. */
  private static Map.Entry<String, Filter> filter(String name, Filter filter, String... names) {
    return Map.entry(name, (value, given) -> filter.apply(value, given.only(names)));
  }

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
    if (index < 0 && value instanceof Lazy lazy) {
      lazy.length(); // a generator has no end to begin from
    }
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
    return Lazy.once(
        value instanceof Undefined ? List.of() : Methods.pairs(Values.requireMap(value)));
  }

  private static List<@Nullable Object> sortedPairs(@Nullable Object value, Arguments given) {
    boolean exactCase = given.truth(0, "case_sensitive", false);
    int by =
        switch (Values.text(given.get(1, "by", "key"))) {
          case "key" -> 0;
          case "value" -> 1;
          default -> throw new TemplateException("by is key or value");
        };
    return sorted(
        Methods.pairs(Values.requireMap(value)),
        pair -> folded(((List<?>) pair).get(by), exactCase),
        given.truth(2, "reverse", false));
  }

  private static List<@Nullable Object> sort(@Nullable Object value, Arguments given) {
    return sorted(Values.items(value), key(given, 1), given.truth(0, "reverse", false));
  }

  /**
   * What items are compared by.
   *
   * @param place of the argument {@code case_sensitive}, behind which comes {@code attribute}
   */
  private static Key key(Arguments given, int place) {
    boolean exactCase = given.truth(place, "case_sensitive", false);
    Object attribute = given.get(place + 1, "attribute", null);
    return item -> folded(attribute == null ? item : attribute(item, attribute), exactCase);
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

  private static Lazy unique(@Nullable Object value, Arguments given) {
    Key key = key(given, 0);
    List<@Nullable Object> unique = new ArrayList<>();
    List<@Nullable Object> seen = new ArrayList<>();
    for (Object item : Values.items(value)) {
      Object known = key.of(item);
      if (!Values.contains(seen, known)) {
        seen.add(known);
        unique.add(item);
      }
    }
    return Lazy.once(unique);
  }

  private static Object reverse(@Nullable Object value, Arguments given) {
    if (value instanceof String text) {
      return new StringBuilder(text).reverse().toString();
    }
    List<@Nullable Object> items = Values.items(value);
    Collections.reverse(items);
    return Lazy.once(items);
  }

  private static Lazy map(@Nullable Object value, Arguments given) {
    List<@Nullable Object> mapped = new ArrayList<>();
    Object attribute = given.named().get("attribute");
    if (attribute != null && (!given.positional().isEmpty() || given.named().size() > 2)) {
      throw new TemplateException("map takes a filter, or attribute and default");
    }
    for (Object item : Values.items(value)) {
      if (attribute == null) {
        mapped.add(apply(given.text(0, "filter"), item, given.rest()));
      } else {
        Object found = attribute(item, attribute);
        Object fallback = given.named().get("default");
        mapped.add(found instanceof Undefined && fallback != null ? fallback : found);
      }
    }
    return Lazy.once(mapped);
  }

  private static Lazy chosen(@Nullable Object value, Predicate<@Nullable Object> chooses) {
    return Lazy.once(Values.items(value).stream().filter(chooses).collect(Collectors.toList()));
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
      found =
          Operators.item(
              found, name.matches("\\d+") ? (Object) Values.whole(new BigInteger(name)) : name);
    }
    return found;
  }

  private static @Nullable Object whole(@Nullable Object value, Arguments given) {
    if (given.whole(1, "base", 10) != 10) {
      throw new TemplateException("int knows base 10 only");
    }
    return switch (number(value)) {
      case Double real when Double.isFinite(real) ->
          Values.whole(new BigDecimal(real).toBigInteger());
      case Double _ -> throw new TemplateException("what is infinite is no whole number");
      case null -> given.get(0, "default", 0L);
      case Object whole -> Values.whole(Values.toWhole(whole));
    };
  }

  private static @Nullable Object real(@Nullable Object value, Arguments given) {
    Object number = number(value);
    return number == null ? given.get(0, "default", 0.0) : (Object) Values.toDouble(number);
  }

  /** A number, or what a text says in Python's way; null for what is none. */
  private static @Nullable Object number(@Nullable Object value) {
    if (value instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (!Values.isText(value)) {
      return Values.isNumber(value) ? value : null;
    }
    String text = Strings.strip(Values.text(value), null, true, true);
    if (WHOLE.matcher(text).matches()) {
      return Values.whole(new BigInteger(text.replace("_", "")));
    }
    if (REAL.matcher(text).matches()) {
      return Double.valueOf(text.replace("_", ""));
    }
    return switch (Strings.lower(text).replaceFirst("^\\+", "")) {
      case "inf", "infinity" -> Double.POSITIVE_INFINITY;
      case "-inf", "-infinity" -> Double.NEGATIVE_INFINITY;
      case "nan", "-nan" -> Double.NaN;
      default -> null;
    };
  }

  private static Object round(@Nullable Object value, Arguments given) {
    if (!Values.isNumber(value)) {
      throw new TemplateException("%s can't be rounded".formatted(Values.shown(value)));
    }
    int precision = given.whole(0, "precision", 0);
    if (precision < -300 || precision > 300) {
      throw new TemplateException("%d places are too many".formatted(precision));
    }
    double factor = Math.pow(10, precision);
    return switch (Values.text(given.get(1, "method", "common"))) {
      case "common" -> rounded(value, precision);
      case "ceil" -> Math.ceil(Values.toDouble(value) * factor) / factor;
      case "floor" -> Math.floor(Values.toDouble(value) * factor) / factor;
      default -> throw new TemplateException("method is common, ceil or floor");
    };
  }

  private static Object rounded(@Nullable Object value, int precision) {
    if (value instanceof Double real) {
      return Double.isFinite(real)
          ? new BigDecimal(real).setScale(precision, RoundingMode.HALF_EVEN).doubleValue()
          : real;
    }
    BigDecimal whole = new BigDecimal(Values.toWhole(value));
    return Values.whole(
        whole.setScale(Math.min(0, precision), RoundingMode.HALF_EVEN).toBigInteger());
  }

  private static @Nullable Object sum(@Nullable Object value, Arguments given) {
    Object attribute = given.get(0, "attribute", null);
    Object sum = given.get(1, "start", 0L);
    for (Object item : Values.items(value)) {
      sum = Operators.binary("+", sum, attribute == null ? item : attribute(item, attribute));
    }
    return sum;
  }

  /**
   * The smallest item.
   *
   * @param sign -1 for the largest
   */
  private static @Nullable Object extreme(@Nullable Object value, Arguments given, int sign) {
    List<@Nullable Object> items = Values.items(value);
    if (items.isEmpty()) {
      return new Undefined("min or max of nothing");
    }
    Key key = key(given, 0);
    Object best = items.getFirst();
    for (Object item : items) {
      best = sign * Values.compare(key.of(item), key.of(best)) < 0 ? item : best;
    }
    return best;
  }

  private static String indent(@Nullable Object value, Arguments given) {
    Object width = given.get(0, "width", 4L);
    String space =
        width instanceof String text
            ? text
            : " ".repeat(Math.clamp(Values.index(width), 0, Strings.MOST_BLANKS));
    boolean blank = given.truth(2, "blank", false);
    List<@Nullable Object> lines = Strings.lines(Values.text(value) + "\n");
    StringBuilder indented = new StringBuilder(given.truth(1, "first", false) ? space : "");
    for (int i = 0; i < lines.size(); i++) {
      boolean moved = i > 0 && (blank || !lines.get(i).equals(""));
      indented.append(i == 0 ? "" : "\n").append(moved ? space : "").append(lines.get(i));
    }
    return indented.toString();
  }
}
