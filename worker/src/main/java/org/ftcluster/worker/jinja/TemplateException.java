package org.ftcluster.worker.jinja;

/** A template that can't be read, or can't be filled with what it is given; says where and why. */
public final class TemplateException extends RuntimeException {
  private static final long serialVersionUID = 1;

  public TemplateException(String message) {
    super(message);
  }

  /**
   * The same, said of a line.
   *
   * @param line counted from 1
   */
  TemplateException at(int line) {
    String message = getMessage();
    return message.startsWith("line ")
        ? this
        : new TemplateException("line %d: %s".formatted(line, message));
  }
}
