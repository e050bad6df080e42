package org.ftcluster.worker.jinja;

/**
 * A piece of a template.
 *
 * @param line where it begins, counted from 1
 */
record Token(Kind kind, String text, int line) {
  enum Kind {
    /** What stands outside of tags. */
    DATA,
    BLOCK_BEGIN,
    BLOCK_END,
    PRINT_BEGIN,
    PRINT_END,
    NAME,
    STRING,
    INTEGER,
    FLOAT,
    OPERATOR,
    END
  }

  boolean is(Kind other) {
    return kind == other;
  }

  boolean isName(String name) {
    return kind == Kind.NAME && text.equals(name);
  }

  boolean isOperator(String operator) {
    return kind == Kind.OPERATOR && text.equals(operator);
  }

  /** How messages call it. */
  String shown() {
    return kind == Kind.END ? "the end" : "'%s'".formatted(text);
  }
}
