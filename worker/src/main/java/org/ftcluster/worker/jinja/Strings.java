package org.ftcluster.worker.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** What Python does with strings. */
final class Strings {
  private Strings() {}

  static boolean isBlank(int c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || (c >= 0x1c && c <= 0x1f);
  }

  /**
   * Without what is at its ends.
   *
   * @param characters that go; null for blanks
   */
  static String strip(String text, @Nullable String characters, boolean left, boolean right) {
    int from = 0;
    int to = text.length();
    while (left && from < to && goes(text.codePointAt(from), characters)) {
      from += Character.charCount(text.codePointAt(from));
    }
    while (right && from < to && goes(text.codePointBefore(to), characters)) {
      to -= Character.charCount(text.codePointBefore(to));
    }
    return text.substring(from, to);
  }

  private static boolean goes(int c, @Nullable String characters) {
    return characters == null ? isBlank(c) : characters.indexOf(c) >= 0;
  }

  /**
   * Pieces between separators.
   *
   * @param separator null for runs of blanks, of which none are at the ends
   * @param most separators that count, from the left; below 0 all
   */
  static List<@Nullable Object> split(String text, @Nullable String separator, int most) {
    List<@Nullable Object> pieces = new ArrayList<>();
    if (separator == null) {
      String rest = strip(text, null, true, false);
      while (!rest.isEmpty()) {
        int end = 0;
        while (end < rest.length() && !isBlank(rest.codePointAt(end))) {
          end += Character.charCount(rest.codePointAt(end));
        }
        if (most >= 0 && pieces.size() == most) {
          pieces.add(strip(rest, null, false, true));
          return pieces;
        }
        pieces.add(rest.substring(0, end));
        rest = strip(rest.substring(end), null, true, false);
      }
      return pieces;
    }
    requireSeparator(separator);
    int from = 0;
    int at = text.indexOf(separator);
    while (at >= 0 && (most < 0 || pieces.size() < most)) {
      pieces.add(text.substring(from, at));
      from = at + separator.length();
      at = text.indexOf(separator, from);
    }
    pieces.add(text.substring(from));
    return pieces;
  }

  /** The same from the right. */
  static List<@Nullable Object> splitRight(String text, String separator, int most) {
    requireSeparator(separator);
    List<@Nullable Object> pieces = new ArrayList<>();
    int to = text.length();
    int at = text.lastIndexOf(separator);
    while (at >= 0 && (most < 0 || pieces.size() < most)) {
      pieces.addFirst(text.substring(at + separator.length(), to));
      to = at;
      at = at == 0 ? -1 : text.lastIndexOf(separator, at - separator.length());
    }
    pieces.addFirst(text.substring(0, to));
    return pieces;
  }

  private static void requireSeparator(String separator) {
    if (separator.isEmpty()) {
      throw new TemplateException("a separator is empty");
    }
  }

  /** Replaces the first {@code most} of them, or all where that is below 0. */
  static String replace(String text, String old, String other, int most) {
    if (most < 0) {
      return text.replace(old, other);
    }
    StringBuilder replaced = new StringBuilder();
    int from = 0;
    int at = text.indexOf(old);
    for (int count = 0; at >= 0 && count < most; count++) {
      replaced.append(text, from, at).append(other);
      from = at + old.length();
      if (old.isEmpty()) {
        throw new TemplateException("what is to be replaced is empty");
      }
      at = text.indexOf(old, from);
    }
    return replaced.append(text.substring(from)).toString();
  }

  static String capitalize(String text) {
    if (text.isEmpty()) {
      return text;
    }
    int first = Character.charCount(text.codePointAt(0));
    return upper(text.substring(0, first)) + lower(text.substring(first));
  }

  /** The method {@code title}: each run of letters. */
  static String title(String text) {
    StringBuilder title = new StringBuilder();
    boolean inside = false;
    for (int c : text.codePoints().toArray()) {
      title.appendCodePoint(inside ? Character.toLowerCase(c) : Character.toTitleCase(c));
      inside = Character.isLetter(c);
    }
    return title.toString();
  }

  /** The filter {@code title}: what stands between blanks, dashes and opening brackets. */
  static String titleWords(String text) {
    return Pattern.compile("[^-\\s({\\[<]+")
        .matcher(text)
        .replaceAll(word -> java.util.regex.Matcher.quoteReplacement(capitalize(word.group())));
  }

  static String upper(String text) {
    return text.toUpperCase(Locale.ROOT);
  }

  static String lower(String text) {
    return text.toLowerCase(Locale.ROOT);
  }

  /** Whether a text begins, or ends, with one of some. */
  static boolean hasAffix(@Nullable Object affixes, java.util.function.Predicate<String> has) {
    return affixes instanceof List<?> any
        ? any.stream().anyMatch(affix -> has.test(Values.requireText(affix)))
        : has.test(Values.requireText(affixes));
  }
}
