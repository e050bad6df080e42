package org.ftcluster.worker.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Methods of strings, dictionaries and lists that leave them as they are. */
final class Methods {
  private Methods() {}

  /** What Python's values can do besides, which no template was seen to need. */
  private static final Set<String> OTHERS_OF_STRINGS =
      Set.of(
          "casefold",
          "center",
          "encode",
          "expandtabs",
          "format",
          "format_map",
          "index",
          "isalnum",
          "isalpha",
          "isascii",
          "isdecimal",
          "isidentifier",
          "islower",
          "isnumeric",
          "isprintable",
          "istitle",
          "isupper",
          "ljust",
          "maketrans",
          "partition",
          "rindex",
          "rjust",
          "rpartition",
          "swapcase",
          "translate",
          "zfill");

  private static final Set<String> OTHERS_OF_MAPS =
      Set.of("clear", "fromkeys", "pop", "popitem", "setdefault", "update");

  private static final Set<String> OTHERS_OF_LISTS =
      Set.of("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort");

  /**
   * A method of a value, or null where it has none of that name.
   *
   * @throws TemplateException for one that isn't supported
   */
  static @Nullable Callable of(@Nullable Object value, String name) {
    return switch (value) {
      case String text -> supported(ofString(text, name), name, OTHERS_OF_STRINGS);
      case Map<?, ?> map -> supported(ofMap(map, name), name, OTHERS_OF_MAPS);
      case List<?> list -> supported(ofList(list, name), name, OTHERS_OF_LISTS);
      case null, default -> null;
    };
  }

  private static @Nullable Callable supported(
      @Nullable Callable method, String name, Set<String> others) {
    if (method == null && others.contains(name)) {
      throw new TemplateException("the method %s isn't supported".formatted(name));
    }
    return method;
  }

  /** Takes these arguments and no others. */
  private static Callable taking(Callable method, String... names) {
    return given -> method.call(given.only(names));
  }

  private static @Nullable Callable ofString(String text, String name) {
    return switch (name) {
      case "strip" ->
          taking(given -> Strings.strip(text, given.textOrNull(0, "chars"), true, true), "chars");
      case "lstrip" ->
          taking(given -> Strings.strip(text, given.textOrNull(0, "chars"), true, false), "chars");
      case "rstrip" ->
          taking(given -> Strings.strip(text, given.textOrNull(0, "chars"), false, true), "chars");
      case "startswith" ->
          taking(given -> Strings.hasAffix(given.require(0, "prefix"), text::startsWith), "prefix");
      case "endswith" ->
          taking(given -> Strings.hasAffix(given.require(0, "suffix"), text::endsWith), "suffix");
      case "removeprefix" ->
          taking(
              given -> {
                String prefix = given.text(0, "prefix");
                return text.startsWith(prefix) ? text.substring(prefix.length()) : text;
              },
              "prefix");
      case "removesuffix" ->
          taking(
              given -> {
                String suffix = given.text(0, "suffix");
                return text.endsWith(suffix)
                    ? text.substring(0, text.length() - suffix.length())
                    : text;
              },
              "suffix");
      case "split" ->
          taking(
              given ->
                  Strings.split(text, given.textOrNull(0, "sep"), given.whole(1, "maxsplit", -1)),
              "sep",
              "maxsplit");
      case "rsplit" ->
          taking(
              given ->
                  Strings.splitRight(text, given.text(0, "sep"), given.whole(1, "maxsplit", -1)),
              "sep",
              "maxsplit");
      case "splitlines" -> taking(given -> Strings.lines(text));
      case "replace" ->
          taking(
              given ->
                  Strings.replace(
                      text,
                      given.text(0, "old"),
                      given.text(1, "new"),
                      given.whole(2, "count", -1)),
              "old",
              "new",
              "count");
      case "join" -> taking(given -> joined(given.require(0, "iterable"), text), "iterable");
      case "find" -> taking(given -> place(text, text.indexOf(given.text(0, "sub"))), "sub");
      case "rfind" -> taking(given -> place(text, text.lastIndexOf(given.text(0, "sub"))), "sub");
      case "count" ->
          taking(given -> (long) Strings.split(text, given.text(0, "sub"), -1).size() - 1, "sub");
      case "upper" -> taking(given -> Strings.upper(text));
      case "lower" -> taking(given -> Strings.lower(text));
      case "title" -> taking(given -> Strings.title(text));
      case "capitalize" -> taking(given -> Strings.capitalize(text));
      case "isdigit" -> taking(given -> isDigits(text));
      case "isspace" ->
          taking(given -> !text.isEmpty() && text.codePoints().allMatch(Strings::isBlank));
      default -> null;
    };
  }

  private static boolean isDigits(String text) {
    if (text.codePoints().anyMatch(c -> Character.getType(c) == Character.OTHER_NUMBER)) {
      throw new TemplateException("isdigit doesn't know " + Values.shown(text));
    }
    return !text.isEmpty() && text.codePoints().allMatch(Character::isDigit);
  }

  private static long place(String text, int index) {
    return index < 0 ? -1 : text.codePointCount(0, index);
  }

  private static String joined(@Nullable Object items, String separator) {
    return Values.items(items).stream()
        .map(Values::requireText)
        .collect(Collectors.joining(separator));
  }

  private static @Nullable Callable ofMap(Map<?, ?> map, String name) {
    return switch (name) {
      case "get" ->
          taking(
              given -> {
                Object key = given.require(0, "key");
                return map.containsKey(key) ? map.get(key) : given.get(1, "default", null);
              },
              "key",
              "default");
      case "items" -> taking(given -> Lazy.view(pairs(map)));
      case "keys" -> taking(given -> Lazy.view(new ArrayList<>(map.keySet())));
      case "values" -> taking(given -> Lazy.view(new ArrayList<>(map.values())));
      case "copy" -> taking(given -> map);
      default -> null;
    };
  }

  static List<@Nullable Object> pairs(Map<?, ?> map) {
    List<@Nullable Object> pairs = new ArrayList<>();
    map.forEach((key, value) -> pairs.add(Tuple.of(key, value)));
    return pairs;
  }

  private static @Nullable Callable ofList(List<?> list, String name) {
    return switch (name) {
      case "count" ->
          taking(
              given -> {
                Object item = given.require(0, "value");
                return list.stream().filter(other -> Values.equal(other, item)).count();
              },
              "value");
      case "index" -> taking(given -> place(list, given.require(0, "value")), "value");
      case "copy" -> taking(given -> list);
      default -> null;
    };
  }

  private static long place(List<?> list, @Nullable Object item) {
    for (int i = 0; i < list.size(); i++) {
      if (Values.equal(list.get(i), item)) {
        return i;
      }
    }
    throw new TemplateException("%s is not in the list".formatted(Values.shown(item)));
  }
}
