package org.ftcluster.worker.checkpoint;

/** What a state has of each parameter, a float32 number each; in the order of a state's buffers. */
public enum StateContent {
  VALUE("parameter."),
  FIRST_MOMENT("first_moment."),
  SECOND_MOMENT("second_moment.");

  private final String prefix;

  StateContent(String prefix) {
    this.prefix = prefix;
  }

  /** What names of a checkpoint's tensors begin with. */
  String prefix() {
    return prefix;
  }
}
