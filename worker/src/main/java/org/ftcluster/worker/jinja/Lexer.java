package org.ftcluster.worker.jinja;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.ftcluster.worker.jinja.Token.Kind;

/**
 * A template's text to tokens. Spaces around tags go as with {@code trim_blocks} and {@code
 * lstrip_blocks}: the line break after a block tag or comment, and what stands before one on its
 * line if that is blank; {@code -} takes all blanks on its side, {@code +} none.
 */
final class Lexer {
  private static final Pattern TAG = Pattern.compile("\\{[{%#][-+]?");
  private static final Pattern RAW = Pattern.compile("\\G\\s*raw\\s*(-?)%}");
  private static final Pattern END_RAW =
      Pattern.compile("\\{%([-+]?)\\s*endraw\\s*([-+]?)%}", Pattern.DOTALL);
  private static final Pattern INSIDE =
      Pattern.compile(
          "\\G(?:(?<blank>\\s+)"
              + "|(?<float>\\d+(?:_\\d+)*(?:\\.\\d+(?:[eE][-+]?\\d+)?|[eE][-+]?\\d+))"
              + "|(?<integer>\\d+(?:_\\d+)*)"
              + "|(?<name>[\\p{L}_][\\p{L}\\p{N}_]*)"
              + "|(?<string>'[^'\\\\]*+(?:\\\\.[^'\\\\]*+)*+'|\"[^\"\\\\]*+(?:\\\\.[^\"\\\\]*+)*+\")"
              + "|(?<end>[-+]?%}|-?}})"
              + "|(?<operator>//|\\*\\*|==|!=|<=|>=|[-+*/%~<>=.,:|()\\[\\]{}]))",
          Pattern.DOTALL);

  private final String source;
  private final List<Token> tokens = new ArrayList<>();
  private int position;
  private int line = 1;

  /** Whether a line begins here, as far as {@code lstrip_blocks} is concerned. */
  private boolean lineBegins = true;

  private Lexer(String source) {
    this.source = source;
  }

  static List<Token> tokens(String template) {
    String source = template.replace("\r\n", "\n").replace('\r', '\n');
    if (source.endsWith("\n")) { // keep_trailing_newline is off
      source = source.substring(0, source.length() - 1);
    }
    Lexer lexer = new Lexer(source);
    lexer.run();
    return lexer.tokens;
  }

  private void run() {
    Matcher tag = TAG.matcher(source);
    while (tag.find(position)) {
      String begin = tag.group();
      boolean print = begin.charAt(1) == '{';
      data(source.substring(position, tag.start()), begin, !print);
      advance(tag.end());
      if (begin.charAt(1) == '#') {
        comment();
      } else if (print || !raw()) {
        tokens.add(new Token(print ? Kind.PRINT_BEGIN : Kind.BLOCK_BEGIN, begin, line));
        inside(print);
      }
    }
    add(Kind.DATA, source.substring(position));
    tokens.add(new Token(Kind.END, "", line));
  }

  /** Text up to a tag, less what the tag takes of it. */
  private void data(String text, String tag, boolean takesBlanks) {
    if (tag.endsWith("-")) {
      add(Kind.DATA, Strings.strip(text, null, false, true));
    } else if (takesBlanks && !tag.endsWith("+")) {
      int lineStart = text.lastIndexOf('\n') + 1;
      boolean first = lineStart > 0 || lineBegins;
      add(
          Kind.DATA,
          first && Strings.strip(text.substring(lineStart), null, true, false).isEmpty()
              ? text.substring(0, lineStart)
              : text);
    } else {
      add(Kind.DATA, text);
    }
  }

  private void add(Kind kind, String text) {
    if (!text.isEmpty()) {
      tokens.add(new Token(kind, text, line));
    }
  }

  private void comment() {
    int end = source.indexOf("#}", position);
    if (end < 0) {
      throw new TemplateException("a comment has no end").at(line);
    }
    char sign = end > position ? source.charAt(end - 1) : ' ';
    advance(end + 2);
    afterTag(sign, true);
  }

  /** Takes what stands between {@code raw} and {@code endraw} as it is, if that begins here. */
  private boolean raw() {
    Matcher begin = RAW.matcher(source);
    if (!begin.find(position)) {
      return false;
    }
    advance(begin.end());
    afterTag(begin.group(1).isEmpty() ? ' ' : '-', false);
    Matcher end = END_RAW.matcher(source);
    if (!end.find(position)) {
      throw new TemplateException("raw has no endraw").at(line);
    }
    data(source.substring(position, end.start()), "{%" + end.group(1), true);
    advance(end.end());
    afterTag(end.group(2).isEmpty() ? ' ' : end.group(2).charAt(0), true);
    return true;
  }

  private void inside(boolean print) {
    Deque<Character> open = new ArrayDeque<>();
    Matcher next = INSIDE.matcher(source);
    while (next.find(position)) {
      int from = position;
      String text = next.group();
      if (next.group("end") != null && open.isEmpty()) {
        if (print != text.endsWith("}}")) {
          throw new TemplateException("'%s' doesn't end what begins here".formatted(text)).at(line);
        }
        tokens.add(new Token(print ? Kind.PRINT_END : Kind.BLOCK_END, text, line));
        advance(next.end());
        afterTag(text.charAt(0), !print);
        return;
      }
      if (next.group("end") != null) { // }} of a dictionary in a dictionary, or % of } in one
        text = text.substring(0, 1);
      }
      element(next, text, open);
      advance(from + text.length());
    }
    throw new TemplateException(
            position == source.length()
                ? "a tag has no end"
                : "'%s' is not expected here".formatted(source.charAt(position)))
        .at(line);
  }

  private void element(Matcher found, String text, Deque<Character> open) {
    if (found.group("blank") != null) {
      return;
    }
    if (found.group("name") != null) {
      tokens.add(new Token(Kind.NAME, text, line));
    } else if (found.group("string") != null) {
      int begins = line;
      String literal = text.substring(1, text.length() - 1);
      tokens.add(new Token(Kind.STRING, Evaluator.at(begins, () -> unescaped(literal)), begins));
    } else if (found.group("integer") != null) {
      tokens.add(new Token(Kind.INTEGER, text.replace("_", ""), line));
    } else if (found.group("float") != null) {
      tokens.add(new Token(Kind.FLOAT, text.replace("_", ""), line));
    } else {
      balance(text.charAt(0), open);
      tokens.add(new Token(Kind.OPERATOR, text, line));
    }
  }

  private void balance(char bracket, Deque<Character> open) {
    switch (bracket) {
      case '(' -> open.push(')');
      case '[' -> open.push(']');
      case '{' -> open.push('}');
      case ')', ']', '}' -> {
        if (open.isEmpty() || open.pop() != bracket) {
          throw new TemplateException("'%s' closes nothing".formatted(bracket)).at(line);
        }
      }
      default -> {}
    }
  }

  /** What a tag's end takes of the text behind it. */
  private void afterTag(char sign, boolean takesBreak) {
    int end = position;
    if (sign == '-') {
      while (end < source.length() && Strings.isBlank(source.charAt(end))) {
        end++;
      }
    } else if (takesBreak && sign != '+' && end < source.length() && source.charAt(end) == '\n') {
      end++;
    }
    advance(end);
    lineBegins = end > 0 && source.charAt(end - 1) == '\n';
  }

  private void advance(int to) {
    for (int i = position; i < to; i++) {
      line += source.charAt(i) == '\n' ? 1 : 0;
    }
    position = to;
  }

  /** A string's text, by Python's escapes; a backslash before what is none stays. */
  private static String unescaped(String written) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < written.length(); i++) {
      char c = written.charAt(i);
      if (c != '\\' || i + 1 == written.length()) {
        text.append(c);
        continue;
      }
      char escaped = written.charAt(++i);
      switch (escaped) {
        case 'n' -> text.append('\n');
        case 't' -> text.append('\t');
        case 'r' -> text.append('\r');
        case 'a' -> text.append('\u0007');
        case 'b' -> text.append('\b');
        case 'v' -> text.append('\u000b');
        case 'f' -> text.append('\f');
        case '\\', '\'', '"' -> text.append(escaped);
        case '\n' -> {}
        case 'x' -> i = code(written, i, 2, text);
        case 'u' -> i = code(written, i, 4, text);
        case 'U' -> i = code(written, i, 8, text);
        case '0', '1', '2', '3', '4', '5', '6', '7' -> i = octal(written, i, text);
        case 'N' -> throw new TemplateException("names of characters aren't known");
        default -> text.append('\\').append(escaped);
      }
    }
    return text.toString();
  }

  private static int code(String written, int at, int digits, StringBuilder text) {
    int end = at + 1 + digits;
    if (end > written.length() || !written.substring(at + 1, end).matches("[0-9a-fA-F]+")) {
      throw new TemplateException("\\%c lacks its %d digits".formatted(written.charAt(at), digits));
    }
    long code = Long.parseLong(written.substring(at + 1, end), 16);
    if (code > Character.MAX_CODE_POINT) {
      throw new TemplateException("\\%s is no character".formatted(written.substring(at, end)));
    }
    text.appendCodePoint((int) code);
    return end - 1;
  }

  private static int octal(String written, int at, StringBuilder text) {
    int end = at;
    while (end < Math.min(at + 3, written.length())
        && "01234567".indexOf(written.charAt(end)) >= 0) {
      end++;
    }
    text.appendCodePoint(Integer.parseInt(written.substring(at, end), 8));
    return end - 1;
  }
}
