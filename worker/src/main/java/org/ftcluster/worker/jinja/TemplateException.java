package org.ftcluster.worker.jinja;

/** A template that can't be read, or can't be filled with what it is given; says where and why. */
public final class TemplateException extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final boolean placed;

  public TemplateException(String message) {
    this(message, false);
  }

  private TemplateException(String message, boolean placed) {
    super(message);
    this.placed = placed;
  }

  /**
   * The same, said of a line, unless one is known already.
   *
   * @param line counted from 1
   */
  TemplateException at(int line) {
    return placed ? this : new TemplateException("line %d: %s".formatted(line, getMessage()), true);
  }
}
