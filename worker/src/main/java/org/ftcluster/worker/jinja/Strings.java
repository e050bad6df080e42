package org.ftcluster.worker.jinja;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** What Python does with strings. */
final class Strings {
  private static final Pattern LINE_END =
      Pattern.compile("\r\n|[\n\r\u000b\f\u001c-\u001e\u0085\u2028\u2029]");

  private static final Pattern WORD =
      Pattern.compile("[^-\\s({\\[<]+", Pattern.UNICODE_CHARACTER_CLASS);

  /** As far as text may be moved to the right. */
  static final int MOST_BLANKS = 1000;

  private Strings() {}

  static boolean isBlank(int c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == 0x85;
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
        if (pieces.size() == most) {
          pieces.add(rest);
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
    if (old.isEmpty()) {
      throw new TemplateException("what is to be replaced is empty");
    }
    List<@Nullable Object> pieces = split(text, old, most);
    return pieces.stream().map(String.class::cast).collect(Collectors.joining(other));
  }

  /** By code points, as Python orders strings. */
  static int compare(String a, String b) {
    return Arrays.compare(a.codePoints().toArray(), b.codePoints().toArray());
  }

  /** Lines, by all that Python takes for a line's end. */
  static List<@Nullable Object> lines(String text) {
    List<@Nullable Object> lines = new ArrayList<>(Arrays.asList(LINE_END.split(text, -1)));
    if (lines.getLast() instanceof String last && last.isEmpty()) {
      lines.removeLast();
    }
    return lines;
  }

  static String capitalize(String text) {
    if (text.isEmpty()) {
      return text;
    }
    int first = text.codePointAt(0);
    String rest = lower(text.substring(Character.charCount(first)));
    String upper = upper(Character.toString(first));
    boolean several = upper.codePointCount(0, upper.length()) > 1;
    return (several ? capitalize(upper) : Character.toString(Character.toTitleCase(first))) + rest;
  }

  /** The method {@code title}: each run of letters that have cases. */
  static String title(String text) {
    StringBuilder title = new StringBuilder();
    boolean inside = false;
    for (int c : text.codePoints().toArray()) {
      title.appendCodePoint(inside ? Character.toLowerCase(c) : Character.toTitleCase(c));
      inside = Character.isUpperCase(c) || Character.isLowerCase(c) || Character.isTitleCase(c);
    }
    return title.toString();
  }

  /** The filter {@code title}: what stands between blanks, dashes and opening brackets. */
  static String titleWords(String text) {
    return WORD.matcher(text)
        .replaceAll(word -> Matcher.quoteReplacement(capitalize(word.group())));
  }

  static String upper(String text) {
    return text.toUpperCase(Locale.ROOT);
  }

  static String lower(String text) {
    return text.toLowerCase(Locale.ROOT);
  }

  /** Whether a text begins, or ends, with one of some. */
  static boolean hasAffix(@Nullable Object affixes, Predicate<String> has) {
    return affixes instanceof List<?> any
        ? any.stream().anyMatch(affix -> has.test(Values.requireText(affix)))
        : has.test(Values.requireText(affixes));
  }
}
