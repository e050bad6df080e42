package org.ftcluster.protocol.job;

import java.math.BigInteger;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.DoublePredicate;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Typed access to one section. A value that doesn't fit becomes a problem, and the fallback is
 * returned so that reading goes on; a key that is left out, or null, is the fallback as well.
 */
final class Section {
  /** What numbers a key takes. */
  record Bounds(String words, DoublePredicate accepts) {
    static final Bounds POSITIVE = new Bounds("a number above 0", value -> value > 0);
    static final Bounds NOT_NEGATIVE = new Bounds("a number of 0 or more", value -> value >= 0);
    static final Bounds FRACTION =
        new Bounds("a number from 0 to 1", value -> value >= 0 && value <= 1);
    static final Bounds BELOW_ONE =
        new Bounds("a number of at least 0 and below 1", value -> value >= 0 && value < 1);
    static final Bounds BELOW_HALF =
        new Bounds("a number of at least 0 and below 0.5", value -> value >= 0 && value < 0.5);
  }

  private final String path;
  private final YamlNode.Mapping mapping;
  private final Problems problems;

  Section(String path, YamlNode.Mapping mapping, Problems problems) {
    this.path = path;
    this.mapping = mapping;
    this.problems = problems;
  }

  /** The section below; an empty one where it is left out. */
  Section section(String key) {
    YamlNode value = value(key);
    YamlNode.Mapping below = new YamlNode.Mapping(mapping.at(), Map.of());
    if (value instanceof YamlNode.Mapping given) {
      below = given;
    } else if (value != null) {
      String example =
          JobKeys.of(path(key)).stream().limit(2).collect(Collectors.joining(": ..., "));
      mustBe(key, "a section such as {%s: ...}".formatted(example), value);
    }
    return new Section(path(key), below, problems);
  }

  boolean has(String key) {
    return value(key) != null;
  }

  String string(String key, String fallback) {
    return switch (value(key)) {
      case null -> fallback;
      case YamlNode.Scalar scalar -> scalar.text();
      case YamlNode.Mapping given -> {
        mustBe(key, "text, in quotes where it begins with {", given);
        yield fallback;
      }
      case YamlNode.Sequence given -> {
        mustBe(key, "text", given);
        yield fallback;
      }
    };
  }

  /** A path that has no default; {@code folder} once it has been reported missing. */
  Path path(String key, Path folder, String meaning) {
    return path(key, folder)
        .orElseGet(
            () -> {
              if (problems.none(path(key))) {
                problems.add(path(key), "is missing; it is " + meaning);
              }
              return folder;
            });
  }

  /** A path, from {@code folder} where it is relative. */
  Optional<Path> path(String key, Path folder) {
    String text = string(key, "");
    if (text.isBlank()) {
      return Optional.empty();
    }
    try {
      return Optional.of(folder.resolve(text).normalize());
    } catch (InvalidPathException e) {
      problems.add(path(key), "is no path: " + e.getReason());
      return Optional.empty();
    }
  }

  int integer(String key, int fallback, int least) {
    return (int) whole(key, fallback, least, Integer.MAX_VALUE);
  }

  /** A whole number, or the one word that stands for the fallback. */
  int integerOr(String key, String word, int fallback, int least) {
    return integerOr(key, word, fallback, fallback, least);
  }

  /**
   * The same.
   *
   * @param meaning of the word
   */
  int integerOr(String key, String word, int meaning, int fallback, int least) {
    if (value(key) instanceof YamlNode.Scalar scalar && scalar.text().equals(word)) {
      return meaning;
    }
    return (int) whole(key, fallback, least, Integer.MAX_VALUE, word + " or ");
  }

  long whole(String key, long fallback, long least, long most) {
    return whole(key, fallback, least, most, "");
  }

  private long whole(String key, long fallback, long least, long most, String or) {
    YamlNode value = value(key);
    if (value == null) {
      return fallback;
    }
    String range = "of %d or more".formatted(least);
    if (value instanceof YamlNode.Scalar(Location _, String text, boolean plain)
        && plain
        && PlainValue.WHOLE.matcher(text).matches()) {
      BigInteger number = new BigInteger(text.replace("_", ""));
      if (number.compareTo(BigInteger.valueOf(most)) > 0) {
        range = "of at most %d".formatted(most);
      } else if (number.compareTo(BigInteger.valueOf(least)) >= 0) {
        return number.longValueExact();
      }
    }
    mustBe(key, or + "a whole number " + range, value);
    return fallback;
  }

  double number(String key, double fallback, Bounds bounds) {
    YamlNode value = value(key);
    if (value == null) {
      return fallback;
    }
    if (value instanceof YamlNode.Scalar(Location _, String text, boolean plain)
        && plain
        && PlainValue.DECIMAL.matcher(text).matches()) {
      double number = Double.parseDouble(text.replace("_", ""));
      if (Double.isFinite(number) && bounds.accepts.test(number)) {
        return number;
      }
    }
    mustBe(key, bounds.words, value);
    return fallback;
  }

  boolean truth(String key, boolean fallback) {
    YamlNode value = value(key);
    if (value == null) {
      return fallback;
    }
    if (value instanceof YamlNode.Scalar(Location _, String text, boolean plain) && plain) {
      if (text.equalsIgnoreCase("true")) {
        return true;
      }
      if (text.equalsIgnoreCase("false")) {
        return false;
      }
    }
    mustBe(key, "true or false", value);
    return fallback;
  }

  /** One of an enum's values, written in lower case. */
  <E extends Enum<E>> E choice(String key, E fallback) {
    return choice(key, fallback, Map.of());
  }

  /**
   * The same.
   *
   * @param aliases words that stand for a choice besides its own
   */
  <E extends Enum<E>> E choice(String key, E fallback, Map<String, E> aliases) {
    YamlNode value = value(key);
    if (value == null) {
      return fallback;
    }
    E[] choices = fallback.getDeclaringClass().getEnumConstants();
    if (value instanceof YamlNode.Scalar scalar) {
      for (E choice : choices) {
        if (word(choice).equals(scalar.text())) {
          return choice;
        }
      }
      E meant = aliases.get(scalar.text());
      if (meant != null) {
        return meant;
      }
    }
    mustBe(
        key, Arrays.stream(choices).map(Section::word).collect(Collectors.joining(" or ")), value);
    return fallback;
  }

  /** A list of words, or the one word that stands for a list. */
  List<String> words(String key, String shorthand) {
    YamlNode value = value(key);
    if (value == null) {
      return List.of(shorthand);
    }
    if (value instanceof YamlNode.Scalar scalar && scalar.text().equals(shorthand)) {
      return List.of(shorthand);
    }
    if (value instanceof YamlNode.Sequence sequence && !sequence.items().isEmpty()) {
      List<String> words = new ArrayList<>();
      for (YamlNode item : sequence.items()) {
        if (item instanceof YamlNode.Scalar scalar && !scalar.text().isBlank()) {
          words.add(scalar.text());
        }
      }
      if (words.size() == sequence.items().size()
          && (words.size() == 1 || !words.contains(shorthand))) {
        return words;
      }
    }
    mustBe(key, "%s or a list such as [q_proj, v_proj]".formatted(shorthand), value);
    return List.of(shorthand);
  }

  /**
   * A field of data, or a list of some.
   *
   * @param meaning of it
   */
  List<String> fields(String key, String meaning) {
    YamlNode value = value(key);
    List<YamlNode> items =
        value instanceof YamlNode.Sequence sequence
            ? sequence.items()
            : value == null ? List.of() : List.of(value);
    List<String> fields = new ArrayList<>();
    for (YamlNode item : items) {
      if (item instanceof YamlNode.Scalar scalar) {
        fields.add(scalar.text());
      } else {
        problem(key, "must be a field or a list of fields such as [prompt, completion]");
        return List.of();
      }
    }
    if (fields.isEmpty() || fields.stream().anyMatch(String::isBlank)) {
      problem(key, "is empty; give " + meaning);
    }
    return fields;
  }

  /** Truths, numbers and texts by names that are the user's own. */
  Map<String, Object> settings(String key) {
    Map<String, Object> settings = new TreeMap<>();
    switch (value(key)) {
      case null -> {}
      case YamlNode.Mapping given ->
          given
              .entries()
              .forEach(
                  (name, entry) -> {
                    if (entry.value() instanceof YamlNode.Scalar scalar && !scalar.isNull()) {
                      settings.put(
                          name, scalar.plain() ? PlainValue.of(scalar.text()) : scalar.text());
                    } else {
                      mustBe(
                          JobKeys.join(key, name), "true, false, a number or text", entry.value());
                    }
                  });
      case YamlNode other -> mustBe(key, "settings such as {enable_thinking: false}", other);
    }
    return settings;
  }

  static String word(Enum<?> choice) {
    return choice.name().toLowerCase(Locale.ROOT);
  }

  /** Says what is wrong with a key. */
  void problem(String key, String sentence) {
    problems.add(path(key), sentence);
  }

  private void mustBe(String key, String expected, YamlNode actual) {
    problems.add(path(key), "must be %s, not %s".formatted(expected, actual.describe()));
  }

  private String path(String key) {
    return JobKeys.join(path, key);
  }

  private @Nullable YamlNode value(String key) {
    YamlNode.Entry entry = mapping.entries().get(key);
    if (entry == null || (entry.value() instanceof YamlNode.Scalar scalar && scalar.isNull())) {
      return null;
    }
    return entry.value();
  }
}
