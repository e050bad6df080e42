package org.ftcluster.cli.node;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.ExitCode;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which GPUs {@code --gpus} means, given what the driver shows and CUDA_VISIBLE_DEVICES. */
class GpuListTest {
  private static final GpuInventory FOUR = GpuInventory.of(4);
  private static final GpuInventory NO_DRIVER = GpuInventory.none("no CUDA driver is installed");

  @Test
  void allAreThoseOfTheDriver() {
    assertEquals(List.of("0", "1", "2", "3"), GpuList.parse("all", null, FOUR));
  }

  @Test
  void allAreThoseThatThisProcessSees() {
    assertEquals(
        List.of("3", "GPU-8932f937"), GpuList.parse("all", "3, GPU-8932f937", GpuInventory.of(2)));
  }

  @Test
  void workersOfALocalRunHaveOneEach() {
    assertEquals(List.of("0", "1", "2"), GpuList.forWorkers(3, null, FOUR));
    assertEquals(List.of("5"), GpuList.forWorkers(1, "5,7", GpuInventory.of(2)));
    assertEquals(
        "resources.device is cuda, and --workers is 3, but there are 2 GPUs, one for each",
        assertThrows(CommandException.class, () -> GpuList.forWorkers(3, "5,7", GpuInventory.of(2)))
            .getMessage());
    assertEquals(
        "resources.device is cuda, but no GPU can be used here: no CUDA driver is installed",
        assertThrows(CommandException.class, () -> GpuList.forWorkers(1, null, NO_DRIVER))
            .getMessage());
  }

  @Test
  void namesThatTheDriverDoesNotKnowAreNoGpus() {
    assertEquals(List.of("3"), GpuList.parse("all", "3,9,1", GpuInventory.of(1)));
    assertEquals(List.of("3"), GpuList.parse("all", "3,-1,1", GpuInventory.of(1)));
  }

  @Test
  void numbersAreThoseOfTheDriver() {
    assertEquals(List.of("2", "0"), GpuList.parse("2, 0", null, FOUR));
  }

  @Test
  void numbersCountAmongThoseThatThisProcessSees() {
    assertEquals(List.of("7", "5"), GpuList.parse("1,0", "5,7", GpuInventory.of(2)));
  }

  @Test
  void withoutADriverNumbersAreTakenAsTheyAre() {
    assertEquals(List.of("0", "9"), GpuList.parse("0,9", null, NO_DRIVER));
  }

  @Test
  void whatIsNotThereIsRefused() {
    assertRefused("--gpus all finds no GPU: no CUDA driver is installed", "all", null, NO_DRIVER);
    assertRefused("--gpus all finds no GPU: the driver has none", "all", null, GpuInventory.of(0));
    assertRefused("--gpus names GPU 4, but the driver has 4, counted from 0", "0,4", null, FOUR);
    assertRefused(
        "--gpus names GPU 2, but CUDA_VISIBLE_DEVICES ('5,7') has 2, counted from 0",
        "2",
        "5,7",
        GpuInventory.of(2));
    assertRefused(
        "--gpus names GPU 0, but CUDA_VISIBLE_DEVICES ('') has 0, counted from 0",
        "0",
        "",
        NO_DRIVER);
    assertRefused("--gpus names GPU 1 twice", "1,0,1", null, FOUR);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "ALL", "two", "0;1", "0,", ",1", "-1", "0-3", "99999999999"})
  void aListIsAllOrNumbers(String wanted) {
    assertRefused(
        "--gpus is '" + wanted + "'; give all, or numbers such as 0,2", wanted, null, FOUR);
  }

  private static void assertRefused(
      String sentence, String wanted, @Nullable String visible, GpuInventory inventory) {
    CommandException e =
        assertThrows(CommandException.class, () -> GpuList.parse(wanted, visible, inventory));

    assertEquals(sentence, e.getMessage());
    assertEquals(ExitCode.BAD_REQUEST, e.exitCode());
  }
}
