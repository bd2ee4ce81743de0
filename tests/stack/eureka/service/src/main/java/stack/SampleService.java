package stack;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** A service as teams write them: it answers requests and registers with the stock Eureka client. */
@SpringBootApplication
@RestController
public class SampleService {
    public static void main(String[] args) {
        SpringApplication.run(SampleService.class, args);
    }

    @GetMapping("/")
    String hello() {
        return "ok";
    }
}
