package org.ftcluster.worker.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Methods of strings, dictionaries and lists that leave them as they are. */
final class Methods {
  private Methods() {}

  /** A method of a value, or null where it has none of that name. */
  static @Nullable Callable of(@Nullable Object value, String name) {
    return switch (value) {
      case String text -> ofString(text, name);
      case Map<?, ?> map -> ofMap(map, name);
      case List<?> list -> ofList(list, name);
      case null, default -> null;
    };
  }

  private static @Nullable Callable ofString(String text, String name) {
    return switch (name) {
      case "strip" -> given -> Strings.strip(text, given.textOrNull(0, "chars"), true, true);
      case "lstrip" -> given -> Strings.strip(text, given.textOrNull(0, "chars"), true, false);
      case "rstrip" -> given -> Strings.strip(text, given.textOrNull(0, "chars"), false, true);
      case "startswith" -> given -> Strings.hasAffix(given.require(0, "prefix"), text::startsWith);
      case "endswith" -> given -> Strings.hasAffix(given.require(0, "suffix"), text::endsWith);
      case "removeprefix" ->
          given -> {
            String prefix = given.text(0, "prefix");
            return text.startsWith(prefix) ? text.substring(prefix.length()) : text;
          };
      case "removesuffix" ->
          given -> {
            String suffix = given.text(0, "suffix");
            return text.endsWith(suffix)
                ? text.substring(0, text.length() - suffix.length())
                : text;
          };
      case "split" ->
          given -> Strings.split(text, given.textOrNull(0, "sep"), given.whole(1, "maxsplit", -1));
      case "rsplit" ->
          given -> Strings.splitRight(text, given.text(0, "sep"), given.whole(1, "maxsplit", -1));
      case "splitlines" ->
          given -> text.lines().map(Object.class::cast).collect(Collectors.toList());
      case "replace" ->
          given ->
              Strings.replace(
                  text, given.text(0, "old"), given.text(1, "new"), given.whole(2, "count", -1));
      case "join" -> given -> joined(given.require(0, "iterable"), text);
      case "find" -> given -> place(text, text.indexOf(given.text(0, "sub")));
      case "rfind" -> given -> place(text, text.lastIndexOf(given.text(0, "sub")));
      case "count" -> given -> (long) Strings.split(text, given.text(0, "sub"), -1).size() - 1;
      case "upper" -> given -> Strings.upper(text);
      case "lower" -> given -> Strings.lower(text);
      case "title" -> given -> Strings.title(text);
      case "capitalize" -> given -> Strings.capitalize(text);
      case "isdigit" -> given -> !text.isEmpty() && text.codePoints().allMatch(Character::isDigit);
      case "isspace" -> given -> !text.isEmpty() && text.codePoints().allMatch(Strings::isBlank);
      default -> null;
    };
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
          given -> {
            Object key = given.require(0, "key");
            return map.containsKey(key) ? map.get(key) : given.get(1, "default", null);
          };
      case "items" -> given -> pairs(map);
      case "keys" -> given -> new ArrayList<Object>(map.keySet());
      case "values" -> given -> new ArrayList<Object>(map.values());
      case "copy" -> given -> map;
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
          given -> {
            Object item = given.require(0, "value");
            return list.stream().filter(other -> Values.equal(other, item)).count();
          };
      case "index" ->
          given -> {
            Object item = given.require(0, "value");
            for (int i = 0; i < list.size(); i++) {
              if (Values.equal(list.get(i), item)) {
                return (long) i;
              }
            }
            throw new TemplateException("%s is not in the list".formatted(Values.shown(item)));
          };
      case "copy" -> given -> list;
      default -> null;
    };
  }
}
