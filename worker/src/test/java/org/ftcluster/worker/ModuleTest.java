package org.ftcluster.worker;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption.DoNotIncludeTests;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

class ModuleTest {
  /** Each package may import those before it. */
  private static final List<String> ORDER =
      List.of(
          "tensor",
          "collective",
          "quantization",
          "safetensors",
          "model",
          "jinja",
          "data",
          "parallel",
          "optimizer",
          "checkpoint",
          "training",
          "rank",
          "inference",
          "bench",
          "spot");

  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(new DoNotIncludeTests())
          .importPackages("org.ftcluster.worker");

  @Test
  void workersKnowOnlyTheProtocol() {
    classes()
        .should()
        .onlyDependOnClassesThat()
        .resideOutsideOfPackages("org.ftcluster.coordinator..", "org.ftcluster.cli..")
        .check(CLASSES);
  }

  @Test
  void everyPackageHasItsPlaceInTheOrder() {
    String[] places = ORDER.stream().map(ModuleTest::place).toArray(String[]::new);
    classes().should().resideInAnyPackage(places).check(CLASSES);
  }

  @TestFactory
  Stream<DynamicTest> packagesImportOnlyThoseBeforeThem() {
    return IntStream.range(0, ORDER.size() - 1)
        .mapToObj(
            i -> {
              String[] later =
                  ORDER.stream().skip(i + 1).map(ModuleTest::place).toArray(String[]::new);
              return dynamicTest(
                  ORDER.get(i),
                  () ->
                      classes()
                          .that()
                          .resideInAPackage(place(ORDER.get(i)))
                          .should()
                          .onlyDependOnClassesThat()
                          .resideOutsideOfPackages(later)
                          .allowEmptyShould(true)
                          .check(CLASSES));
            });
  }

  private static String place(String name) {
    return "org.ftcluster.worker." + name + "..";
  }
}
