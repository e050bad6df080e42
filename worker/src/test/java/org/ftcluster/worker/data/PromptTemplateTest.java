package org.ftcluster.worker.data;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PromptTemplateTest {
  private static final JsonlReader.Line LINE =
      new JsonlReader.Line(
          Path.of("train.jsonl"),
          1,
          """
          {"a": "A", "b_2": "{a}", "n": 1.50, "yes": true, "list": [1, "x"]}""");

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\0',
      textBlock =
          """
          {a}                | A
          <{a}{a}>           | <AA>
          {b_2}              | {a}
          {n} {yes} {list}   | 1.5 true [1,"x"]
          {{a}}              | {a}
          {{{a}}}            | {{a}}
          int f() { {a} }    | int f() { A }
          {} {0} { a } {"a"} | {} {0} { a } {"a"}
          plain              | plain
          """)
  void fillsPlacesAndLeavesOtherBracesAlone(String template, String text) {
    assertEquals(text, PromptTemplate.of(template).fill(LINE, LINE.fields()));
  }
}
